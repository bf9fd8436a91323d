//! `kill -9`: a writer is killed again and again; what it said was stored is there, whole, and nothing else is left.
//!
//! Its own program, since the writer is this program once more, as a child.

#![expect(clippy::unwrap_used, reason = "tests: a failure is the finding, and bodies are ours")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::{ObjectStoreExt, PutPayload};
use objects::{Conditions, Directory, ListQuery, Span};

/// How often the writer is killed.
const ROUNDS: usize = 12;

/// Keys that are written over and over.
const KEYS: u64 = 7;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match arguments.as_slice() {
        [_, child, root, first] if child == "child" => {
            runtime.block_on(write_until_killed(Path::new(root), first.parse().unwrap()));
        }
        _ => {
            let scratch = tempfile::tempdir().unwrap();
            let mut written = vec![None; KEYS as usize];
            let mut next = 0;
            for round in 0..ROUNDS {
                next = run_and_kill(scratch.path(), round, next, &mut written);
                runtime.block_on(check(scratch.path(), &written));
            }
            eprintln!("killed {ROUNDS} times after {next} writes: all are there");
        }
    }
}

/// The bytes of write `number`: it, and a run of one byte whose length only it tells.
fn content(number: u64) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + usize::try_from(number * 7919 % 700_000).unwrap(), (number % 251) as u8);
    bytes
}

fn key(number: u64) -> String {
    format!("folder-{}/key", number % KEYS)
}

/// The child: every third object in parts; each is told when it is stored.
async fn write_until_killed(root: &Path, first: u64) {
    let store = Directory::open(root).unwrap();
    // It was made in an earlier round.
    let _ = store.create_bucket("bucket", "").await;
    let bucket = store.bucket("bucket");
    for number in first.. {
        let (path, bytes) = (object_store::path::Path::from(key(number)), content(number));
        if number % 3 == 0 {
            let mut upload = bucket.put_multipart(&path).await.unwrap();
            let (one, two) = bytes.split_at(bytes.len() / 2);
            upload.put_part(PutPayload::from(one.to_vec())).await.unwrap();
            upload.put_part(PutPayload::from(two.to_vec())).await.unwrap();
            upload.complete().await.unwrap();
        } else {
            bucket.put(&path, PutPayload::from(bytes)).await.unwrap();
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{number}").unwrap();
        out.flush().unwrap();
    }
}

/// Lets the child tell some writes and kills it wherever it then is; the number of the next write.
fn run_and_kill(root: &Path, round: usize, first: u64, written: &mut [Option<u64>]) -> u64 {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .args(["child", root.to_str().unwrap(), &first.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = first;
    let mut note = |line: std::io::Result<String>| {
        let number: u64 = line.unwrap().parse().unwrap();
        written[(number % KEYS) as usize] = Some(number);
        next = number + 1;
    };
    for _ in 0..3 + round * 5 {
        note(lines.next().expect("the writer goes on"));
    }
    // Somewhere in the midst of the next write: where, differs from round to round.
    std::hint::black_box(content(round as u64 * 31));
    child.kill().unwrap();
    child.wait().unwrap();
    lines.for_each(note);
    // One more may have been stored, and not told.
    next + 1
}

async fn check(root: &Path, written: &[Option<u64>]) {
    let store = Directory::open(root).unwrap();
    let mut objects = 0;
    for (index, told) in written.iter().enumerate() {
        let key = key(index as u64);
        let read = store.read("bucket", &key, Conditions::default(), Span::Whole).await;
        let Ok(reading) = read else {
            assert!(told.is_none(), "{key} was stored, and is gone");
            continue;
        };
        objects += 1;
        let mut bytes = Vec::new();
        let mut stream = std::pin::pin!(reading.into_stream());
        while let Some(chunk) = stream.next().await {
            bytes.extend(chunk.unwrap());
        }
        let found = u64::from_be_bytes(bytes[..8].try_into().unwrap());
        assert!(told.is_none_or(|told| found >= told), "{key}: {found} is older than {told:?}");
        assert!(bytes == content(found), "{key}: the bytes of {found} are not whole");
    }
    let listed = store.list("bucket", ListQuery { limit: 1000, ..ListQuery::default() }).await.unwrap();
    assert_eq!(listed.objects.len(), objects);
    assert_eq!(files(&root.join("buckets")), objects, "a file an object");
    check_nothing_is_left(&store, root).await;
}

/// Parts of uploads that were under way may be left; once those end, nothing is.
async fn check_nothing_is_left(store: &Arc<Directory>, root: &Path) {
    store.create_bucket("other", "").await.unwrap();
    store.delete_bucket("other").await.unwrap();
    let left = files(&root.join("incoming"));
    assert!(left <= 2 * ROUNDS, "{left} files are left of at most one upload a round");
}

fn files(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        count += if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 };
    }
    count
}
