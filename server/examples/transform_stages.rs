//! What a batch transform is made of, each measured alone: `read` takes a file through the transform's own reader, `predict`
//! decodes and scores payloads that are in memory already, on as many threads as asked. Prints one line of JSON.
//!
//! `transform_stages read FILE`, `transform_stages predict FILE MODEL THREADS`; tools/bench_transform.py calls it.

use std::io::Write as _;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use codecs::{ContentType, Format};
use dmatrix::{DMatrix, Predictions};
use futures_util::StreamExt as _;
use models::{Artifact, Input, LoadOptions, Model};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use transform::input::InputObject;
use transform::read::{ReadOptions, open};
use transform::settings::Compression;

/// The allocator of the program that is measured against this.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The largest payload, as a transform's when nobody says.
const PAYLOAD_BYTES: usize = 6 << 20;

/// What a stage did.
struct Measured {
    taken: Duration,
    bytes: usize,
    rows: usize,
    /// The sum of all scores: that everybody computes the same is checked by it.
    sum: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Measured { taken, bytes, rows, sum } = match *arguments.as_slice() {
        ["read", file] => read(FilePath::new(file))?,
        ["predict", file, model, threads] => {
            predict(FilePath::new(file), FilePath::new(model), threads.parse().context("THREADS")?)?
        }
        _ => anyhow::bail!("expected `read FILE` or `predict FILE MODEL THREADS`, found {arguments:?}"),
    };
    let seconds = taken.as_secs_f64();
    let said = format!(r#"{{"seconds": {seconds}, "bytes": {bytes}, "rows": {rows}, "sum": {sum}}}"#);
    writeln!(std::io::stdout(), "{said}").context("standard output")
}

/// Takes `file` through the reader of objects, and does nothing with it.
fn read(file: &FilePath) -> anyhow::Result<Measured> {
    let folder = file.parent().context("expected a file in a folder")?;
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
    let name = file.file_name().context("expected a file")?.to_str().context("expected a name in UTF-8")?;
    let path = Path::from(name);
    server::rt::transform()?.block_on(async {
        let found = store.head(&path).await?;
        let object = InputObject {
            output: path.clone(),
            path,
            size: found.size,
            e_tag: found.e_tag,
            modified: Some(found.last_modified.into()),
        };
        let started = Instant::now();
        let mut pieces = open(&store, &object, Compression::None, 0, &ReadOptions::default());
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            bytes += piece?.len();
        }
        Ok(Measured { taken: started.elapsed(), bytes, rows: 0, sum: 0.0 })
    })
}

/// Decodes and scores `file`, cut into payloads of whole lines beforehand.
fn predict(file: &FilePath, model: &FilePath, threads: usize) -> anyhow::Result<Measured> {
    let scratch = std::env::temp_dir();
    let model = Artifact::open(model, &scratch)?.load(&LoadOptions::default())?;
    let bytes = Bytes::from(std::fs::read(file)?);
    let payloads = payloads(&bytes);
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let scored: Vec<(usize, f64)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| score(model.as_ref(), &payloads, &next))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    let taken = started.elapsed();
    let rows = scored.iter().map(|(rows, _)| rows).sum();
    let sum = scored.iter().map(|(_, sum)| sum).sum();
    Ok(Measured { taken, bytes: bytes.len(), rows, sum })
}

/// Whole lines, as many as fit a payload.
fn payloads(bytes: &Bytes) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut from = 0;
    while from < bytes.len() {
        let to = bytes.len().min(from + PAYLOAD_BYTES);
        let end = match to == bytes.len() {
            true => to,
            false => from + last_line_end(&bytes[from..to]).expect("a line is shorter than a payload") + 1,
        };
        found.push(bytes.slice(from..end));
        from = end;
    }
    found
}

/// Where the last line of `bytes` ends.
fn last_line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n')
}

/// Takes payload after payload; how many rows that were, and the sum of their scores.
fn score(model: &dyn Model, payloads: &[Bytes], next: &AtomicUsize) -> (usize, f64) {
    let content_type = ContentType::new(Format::Csv);
    let (mut rows, mut predictions) = (DMatrix::new(), Predictions::new());
    let (mut count, mut sum) = (0, 0.0);
    while let Some(payload) = payloads.get(next.fetch_add(1, Ordering::Relaxed)) {
        codecs::decode(&content_type, &model.signature().rows, payload, &mut rows).expect("the file is CSV");
        model.predict(Input::Rows(&rows), &mut predictions).expect("the rows fit the model");
        count += rows.rows();
        sum += predictions.fields()[0].values.iter().map(|score| f64::from(*score)).sum::<f64>();
    }
    (count, sum)
}
