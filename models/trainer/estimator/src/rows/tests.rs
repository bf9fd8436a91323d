//! Passes over rows that fit in memory, and over rows that do not.

use std::fs;

use super::*;
use crate::Labels;

/// A folder with `count` rows of a label (its number) and two features in `files` files.
fn folder(count: usize, files: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let each = count.div_ceil(files);
    for file in 0..files {
        let rows = file * each..count.min((file + 1) * each);
        let text: String = rows.map(|row| format!("{row},{row},0.5\n")).collect();
        fs::write(folder.path().join(format!("part-{file:03}")), text).expect("a file");
    }
    folder
}

fn open(folder: &tempfile::TempDir, memory_bytes: u64, batch_rows: usize) -> Rows {
    let channel = Channel::for_tests("train", folder.path(), "csv", Labels::Required).expect("known");
    let mut job = Job::for_tests(&[], &[]);
    job.resources.memory_bytes = memory_bytes;
    channel.open(&RowRules::finite(None), batch_rows, &job).expect("good files")
}

/// The labels of a pass, which are the first features too, and the sizes of its batches.
fn pass(rows: &mut Rows, order: Order) -> (Vec<f32>, Vec<usize>) {
    let (mut batch, mut labels, mut sizes) = (DMatrix::new(), Vec::new(), Vec::new());
    let mut pass = rows.pass(order).expect("it can be read again");
    while pass.next(&mut batch).expect("sound rows") {
        let firsts: Vec<f32> = batch.values().iter().copied().step_by(2).collect();
        assert!(firsts == batch.labels(), "labels stay with their rows");
        labels.extend_from_slice(batch.labels());
        sizes.push(batch.rows());
    }
    (labels, sizes)
}

const COUNT: usize = 300_000;

#[test]
fn every_row_comes_once_in_any_order_whether_it_fits_or_not() {
    let folder = folder(COUNT, 3);
    let expected: Vec<f32> = (0..COUNT).map(|row| row as f32).collect();
    for memory_bytes in [1 << 30, 4 << 20] {
        let mut rows = open(&folder, memory_bytes, 7000);
        assert_eq!((rows.columns(), rows.count()), (2, Some(COUNT as u64)));
        let (labels, sizes) = pass(&mut rows, Order::AsRead);
        assert!(labels == expected);
        assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == 7000), "{sizes:?}");
        let (one, _) = pass(&mut rows, Order::Shuffled { seed: 1 });
        let (two, _) = pass(&mut rows, Order::Shuffled { seed: 2 });
        assert!(one != two && one != expected);
        assert!(pass(&mut rows, Order::Shuffled { seed: 1 }).0 == one, "the seed decides");
        for mut labels in [one, two] {
            labels.sort_by(f32::total_cmp);
            assert!(labels == expected);
        }
    }
}

#[test]
fn memory_is_bounded_by_the_formula_and_not_by_the_data() {
    let memory_bytes = 4 << 20;
    let folder = folder(COUNT, 1);
    let mut rows = open(&folder, memory_bytes, 1000);
    let From::Store { store, window_bytes, .. } = &rows.from else { panic!("files are stored") };
    let (kept, spilled) = store.sizes();
    assert!(kept <= memory_bytes / 8 * 3, "{kept}");
    assert_eq!(kept + spilled, COUNT as u64 * 12, "two features and a label a row");
    let largest = (0..store.len()).map(|block| store.load_bytes(block)).max().expect("blocks");
    let window_max = window_bytes.max(&largest).to_owned();
    // What a shuffled pass holds beside the kept blocks, at every batch.
    let mut pass = rows.pass(Order::Shuffled { seed: 1 }).expect("it can be read again");
    let mut batch = DMatrix::new();
    while pass.next(&mut batch).expect("sound rows") {
        let owned = pass.window.iter().filter(|block| matches!(block, Cow::Owned(_)));
        let held: u64 = owned.map(|block| crate::store::block_bytes(block)).sum();
        assert!(held <= window_max, "{held} of {window_max}");
        assert!(pass.order.len() <= (kept as usize + window_max as usize) / 12);
    }
}

#[test]
fn one_sparse_file_makes_all_batches_sparse() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fs::write(folder.path().join("a"), "1 0:1\n0 3:2\n").expect("a file");
    let channel = Channel::for_tests("train", folder.path(), "libsvm", Labels::Required).expect("known");
    let job = Job::for_tests(&[], &[]);
    let mut rows = channel.open(&RowRules::finite(None), 1, &job).expect("good files");
    assert_eq!(rows.columns(), 4);
    let mut batch = DMatrix::new();
    let mut pass = rows.pass(Order::AsRead).expect("it can be read again");
    while pass.next(&mut batch).expect("sound rows") {
        assert_eq!((batch.storage(), batch.columns(), batch.rows()), (Storage::Sparse, 4, 1));
    }
}

#[test]
fn what_is_wrong_is_found_when_a_channel_is_opened() {
    let folder = folder(COUNT, 2);
    fs::write(folder.path().join("part-002"), "1,2,NaN\n").expect("a file");
    let channel = Channel::for_tests("train", folder.path(), "csv", Labels::Required).expect("known");
    let job = Job::for_tests(&[], &[]);
    let error = channel.open(&RowRules::finite(None), 10, &job).expect_err("a NaN").to_string();
    assert!(error.contains("part-002: row 1, column 3"), "{error}");
    let error = channel.open(&RowRules::finite(Some(3)), 10, &job).expect_err("too narrow").to_string();
    assert!(error.contains("part-000: row 1") && error.contains("expected 3 features, found 2"), "{error}");
}
