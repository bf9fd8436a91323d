//! Shares of an object of lines: whatever the cuts, all shares together give each line once and in order.

use std::sync::Arc;

use proptest::prelude::*;

use super::{FaultyStore, collect, options, shared};
use crate::input::InputObject;
use crate::read::{ReadError, ReadOptions, ReadSpan, open_lines};

/// Where the lines of a share start, and their bytes.
async fn lines(
    store: &Arc<FaultyStore>,
    object: &InputObject,
    span: ReadSpan,
    options: &ReadOptions,
) -> Result<(u64, Vec<u8>), ReadError> {
    let lines = open_lines(&shared(store), object, span, options).await?;
    Ok((lines.start, collect(lines.pieces).await?))
}

async fn check(object: &[u8], from: u64, to: Option<u64>, expected: (u64, &[u8])) {
    let store = Arc::new(FaultyStore::default());
    let listed = store.write(object).await;
    let found = lines(&store, &listed, ReadSpan { from, to }, &options()).await.unwrap();
    assert_eq!((found.0, found.1.as_slice()), expected, "{from}..{to:?}");
}

#[tokio::test]
async fn a_line_belongs_to_the_share_of_its_first_byte() {
    check(b"12\n45\n78", 0, None, (0, b"12\n45\n78")).await;
    check(b"12\n45\n78", 0, Some(1), (0, b"12\n")).await;
    check(b"12\n45\n78", 0, Some(3), (0, b"12\n")).await;
    check(b"12\n45\n78", 0, Some(4), (0, b"12\n45\n")).await;
    check(b"12\n45\n78", 3, Some(4), (3, b"45\n")).await;
    check(b"12\n45\n78", 4, Some(7), (6, b"78")).await;
    check(b"12\n45\n78", 7, None, (8, b"")).await;
    check(b"12\n45\n78", 1, Some(3), (3, b"")).await;
    check(b"12\n45\n78", 8, None, (8, b"")).await;
    check(b"", 0, None, (0, b"")).await;
}

/// Who ends a share reads no more than the rest of one line behind it.
#[tokio::test]
async fn little_is_read_beyond_a_share() {
    let store = Arc::new(FaultyStore::default());
    let object = store.write(&b"123456789\n".repeat(100)).await;
    let span = ReadSpan { from: 100, to: Some(200) };
    let (start, bytes) = lines(&store, &object, span, &options()).await.unwrap();
    assert_eq!((start, bytes.len()), (100, 100));
    let end = store.gets().iter().map(|range| range.end).max();
    assert_eq!(end, Some(200));
    let span = ReadSpan { from: 100, to: Some(195) };
    lines(&store, &object, span, &options()).await.unwrap();
    assert_eq!(store.gets().iter().map(|range| range.end).max(), Some(205));
}

proptest! {
    #[test]
    fn all_shares_together_are_the_object(
        object in prop::collection::vec(prop::sample::select(b"12345\n".to_vec()), 0..120),
        mut cuts in prop::collection::vec(0_u64..130, 0..6),
        range_bytes in 1_u64..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (shares, starts) = runtime.block_on(async {
            let store = Arc::new(FaultyStore::default());
            let listed = store.write(&object).await;
            let options = ReadOptions { range_bytes, ..options() };
            cuts.sort_unstable();
            let froms = std::iter::once(0).chain(cuts.iter().copied());
            let tos = cuts.iter().map(|&cut| Some(cut)).chain([None]);
            let (mut shares, mut starts) = (Vec::new(), Vec::new());
            for (from, to) in froms.zip(tos) {
                let (start, bytes) = lines(&store, &listed, ReadSpan { from, to }, &options).await.unwrap();
                if !bytes.is_empty() {
                    starts.push((start, shares.len() as u64));
                }
                shares.extend_from_slice(&bytes);
            }
            (shares, starts)
        });
        prop_assert_eq!(&shares, &object);
        for (start, before) in starts {
            prop_assert_eq!(start, before, "a share says where its first line starts");
        }
    }
}
