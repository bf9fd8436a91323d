//! Uploads in parts to the embedded store, as the engine wants them.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore, PutResult, Result};
use objects::{Bucket, Directory};
use transform::store::{Standing, UnfinishedUpload};
use transform::{Store, Uploads};

/// A bucket of the embedded store.
pub(crate) fn store(directory: &Arc<Directory>, bucket: &str) -> Store {
    let bucket = Bucket::new(directory, bucket);
    let store = Arc::new(bucket.clone());
    let (objects, parts) = (Arc::clone(&store) as Arc<dyn ObjectStore>, store as Arc<dyn MultipartStore>);
    Store { objects, parts, uploads: Arc::new(EmbeddedUploads(bucket)) }
}

/// Uploads to a bucket of the embedded store.
#[derive(Debug)]
struct EmbeddedUploads(Bucket);

#[async_trait]
impl Uploads for EmbeddedUploads {
    async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let found = self.0.unfinished_uploads(prefix).await?;
        Ok(found.into_iter().map(|(path, id)| UnfinishedUpload { path, id }).collect())
    }

    fn lists_in_order(&self) -> bool {
        true
    }

    async fn complete_if(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
        standing: &Standing,
    ) -> Result<PutResult> {
        self.0.complete_upload_if(path, id, parts, &standing.put_mode()).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use object_store::{ObjectStoreExt, PutPayload};
    use transform::batch::Position;
    use transform::input::InputObject;
    use transform::journal::{Journal, Place};
    use transform::upload::{PartSizes, Target, WriteError, Writer};

    use super::*;

    fn target(store: &Store, journal: Journal) -> Target {
        let object = InputObject {
            path: Path::from("in/data.csv"),
            size: 1,
            e_tag: Some("\"1\"".into()),
            modified: None,
            output: Path::from("out/data.csv.out"),
        };
        let content_type = Some("text/csv".to_owned());
        Target { store: store.clone(), journal, object, content_type, part_sizes: PartSizes::from_first(10) }
    }

    fn run(record: u64) -> (Bytes, Position) {
        (Bytes::from(format!("answer {record}\n")), Position { byte: record * 5, record })
    }

    #[tokio::test]
    async fn an_output_is_gone_on_with_and_never_written_over_anothers() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = Directory::open(scratch.path()).expect("a store");
        directory.create_bucket("bucket", "").await.expect("a bucket");
        let store = store(&directory, "bucket");
        let place = Place::beside(store.clone(), &Path::from("out"), "job");
        let (journal, _) = Journal::open(place.clone(), "job", "digest").await.expect("a journal");
        let mut writer = Writer::begin(target(&store, journal.clone()), None).await.expect("a writer");
        for record in 0..4 {
            let (bytes, start) = run(record);
            writer.write(bytes, start).await.expect("parts");
        }
        writer.suspend().await.expect("stored parts");
        journal.flush().await.expect("a durable journal");
        let (journal, done) = Journal::open(place, "job", "digest").await.expect("the journal");
        let ours = target(&store, journal);
        let resume = done.resume(&ours.object).expect("parts to go on with");
        assert_eq!(resume.position().record, 3);
        let mut writer = Writer::begin(ours, Some(resume)).await.expect("a writer");
        for record in 3..6 {
            let (bytes, start) = run(record);
            writer.write(bytes, start).await.expect("parts");
        }
        writer.finish(run(6).1).await.expect("an output");
        let output = Path::from("out/data.csv.out");
        let found = store.objects.get(&output).await.expect("the output").bytes().await.expect("its bytes");
        assert_eq!(found, (0..6).map(|record| format!("answer {record}\n")).collect::<String>());

        let mut late = Writer::begin(target(&store, Journal::nowhere()), None).await.expect("a writer");
        late.write(run(1).0.repeat(2).into(), run(0).1).await.expect("parts");
        store.objects.put(&output, PutPayload::from("another's")).await.expect("a put");
        let refused = late.finish(run(1).1).await;
        assert!(matches!(refused, Err(WriteError::Conflict { .. })), "{refused:?}");
        late.abort().await.expect("an end");
        assert_eq!(store.uploads.unfinished("").await.expect("a list"), []);
    }

    #[test]
    fn the_stores_work_is_done_where_it_is_at_home() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (home, jobs) = (crate::rt::control().expect("threads"), crate::rt::jobs().expect("threads"));
        let directory = Directory::open_on(scratch.path(), home.handle().clone()).expect("a store");
        let (store, key) = (store(&directory, "bucket"), Path::from("key"));
        let put = || store.objects.put(&key, PutPayload::from("bytes"));
        jobs.block_on(directory.create_bucket("bucket", "")).expect("a bucket");
        jobs.block_on(put()).expect("an object");
        jobs.block_on(store.objects.head(&key)).expect("the object");
        // Who does not stand behind others does the work: without it, nothing is done.
        home.shutdown_background();
        assert!(jobs.block_on(put()).is_err());
        assert!(jobs.block_on(store.objects.head(&key)).is_err());
    }
}
