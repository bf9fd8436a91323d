//! An object to write: runs and their answers; and a process that writes it, as the engine does.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use transform::Store;
use transform::batch::Position;
use transform::input::InputObject;
use transform::journal::{Journal, Place};
use transform::upload::{PartSizes, Target, WriteError, Writer, Written, sweep};

/// The key that is written.
pub(crate) const OUTPUT: &str = "out/data.csv.out";

/// An output, as runs and their answers.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) object: InputObject,
    pub(crate) part_bytes: u64,
    /// Where each run starts, and the pieces of its answer.
    pub(crate) runs: Vec<(Position, Vec<Bytes>)>,
    pub(crate) end: Position,
}

impl Script {
    /// Runs of one record whose answers have pieces of these sizes.
    pub(crate) fn new(part_bytes: u64, answers: &[Vec<usize>]) -> Self {
        let (mut runs, mut at, mut next) = (Vec::new(), Position::default(), 0_u32);
        for pieces in answers {
            let piece = |bytes: &usize| {
                let text = std::iter::repeat_with(|| {
                    next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b'a' + (next >> 24) as u8 % 26
                });
                text.take(*bytes).collect::<Bytes>()
            };
            let start = at;
            let pieces = pieces.iter().map(piece).collect();
            runs.push((start, pieces));
            at = Position { byte: at.byte + 10, record: at.record + 1 };
        }
        let object = InputObject {
            path: Path::from("in/data.csv"),
            size: at.byte,
            e_tag: Some("\"input\"".into()),
            modified: None,
            output: Path::from(OUTPUT),
        };
        Self { object, part_bytes, runs, end: at }
    }

    /// The whole output.
    pub(crate) fn bytes(&self) -> Bytes {
        self.runs.iter().flat_map(|(_, pieces)| pieces).flatten().copied().collect()
    }

    pub(crate) fn target(&self, store: Store, journal: Journal) -> Target {
        Target {
            store,
            journal,
            object: self.object.clone(),
            content_type: Some("text/csv".into()),
            part_sizes: PartSizes::from_first(self.part_bytes),
        }
    }

    /// One process: goes on with what others did, and writes the object. `pause` is awaited before each write.
    pub(crate) async fn run(
        &self,
        store: &Store,
        place: Place,
        pause: impl AsyncFn(),
    ) -> Result<Written, WriteError> {
        let opened = Journal::open(place, "job", "settings").await;
        let (journal, done) = opened?;
        if let Some(finished) = done.finished(&self.object) {
            let (bytes, e_tag) = (finished.bytes, finished.output_e_tag.clone());
            self.sweep(store, &Default::default()).await;
            return Ok(Written { bytes, e_tag, end: self.end });
        }
        self.sweep(store, &done.resumable()).await;
        let target = self.target(store.clone(), journal.clone());
        let mut writer = Writer::begin(target, done.resume(&self.object)).await?;
        let from = writer.position();
        for (start, pieces) in self.runs.iter().filter(|(start, _)| start.record >= from.record) {
            for piece in pieces {
                pause().await;
                writer.write(piece.clone(), *start).await?;
            }
        }
        let written = writer.finish(self.end).await?;
        journal.flush().await?;
        self.sweep(store, &Default::default()).await;
        Ok(written)
    }

    async fn sweep(&self, store: &Store, keep: &std::collections::HashSet<String>) {
        sweep(store, "out/", |left| left.path == self.object.output && !keep.contains(&left.id))
            .await
            .unwrap();
    }

    /// Asserts that the output is whole and that no upload is left.
    pub(crate) async fn check(&self, store: &Store, what: &str) {
        let found = store.objects.get(&self.object.output).await.unwrap().bytes().await.unwrap();
        assert!(found == self.bytes(), "{what}: {} bytes, expected {}", found.len(), self.bytes().len());
        assert_eq!(store.uploads.unfinished("").await.unwrap(), [], "{what}");
    }
}

/// Writes what stands at the output before.
pub(crate) async fn put_old(store: &Store) -> Bytes {
    let old = Bytes::from_static(b"what an earlier transform wrote");
    store.objects.put(&Path::from(OUTPUT), PutPayload::from(old.clone())).await.unwrap();
    old
}
