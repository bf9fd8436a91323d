//! What is done for a job that ended without being completed: nobody goes on with its unfinished uploads, so they are ended.
//!
//! The journal names those that were begun. One whose beginning was never answered is known by its key alone: the key of an
//! output of this job, which the inputs say, as another job may write below the same prefix.

use std::collections::HashSet;

use object_store::path::Path;
use transform::input::{Found, Listing, Outputs};
use transform::object::rejected_key;
use transform::{Listener, Store, upload};

use super::request::TransformRequest;
use super::run::Running;

impl Running<'_> {
    /// Ends the uploads that are left of the job.
    pub(super) async fn give_up(&self) {
        match self.end_uploads().await {
            Ok(0) => {}
            Ok(count) => self.log.warned(&format!("{count} unfinished uploads of outputs were given up")),
            Err(reason) => self.log.warned(&format!("unfinished uploads of outputs may be left: {reason}")),
        }
    }

    async fn end_uploads(&self) -> Result<usize, String> {
        // One that never began has none.
        let Some(started) = self.state.started else { return Ok(0) };
        let request = self.request(started).map_err(|halt| halt.to_string())?;
        let store = self.store(&request.output_bucket).map_err(|halt| halt.to_string())?;
        let prefix = request.output_prefix.as_ref();
        let found = match store.uploads.unfinished(prefix).await {
            Ok(found) => found,
            // Nor has a bucket that is not there.
            Err(object_store::Error::NotFound { .. }) => return Ok(0),
            Err(error) => return Err(error.to_string()),
        };
        if found.is_empty() {
            return Ok(0);
        }
        // A journal that cannot be read names none: their keys still do.
        let begun = self.begun(&request).await.unwrap_or_default();
        let (mut ours, mut others) = (HashSet::new(), HashSet::new());
        for left in found {
            if begun.contains(&left.id) {
                ours.insert(left.path)
            } else {
                others.insert(left.path)
            };
        }
        let listed = self.outputs_among(&request, &others, &mut ours).await;
        let swept = upload::sweep(&store, prefix, |left| ours.contains(&left.path)).await;
        listed.and_then(|()| swept.map_err(|error| error.to_string()))
    }

    /// The uploads that the journal says were begun.
    async fn begun(&self, request: &TransformRequest) -> Result<HashSet<String>, String> {
        let settings =
            request.resolve(self.jobs.batch.workers()).map_err(|error| error.to_string())?.settings;
        let (_, done) = self.open_journal(&settings).await.map_err(|halt| halt.to_string())?;
        Ok(done.resumable())
    }

    /// Those of `keys` that are of an output, or of what was put aside beside one, go to `ours`.
    async fn outputs_among(
        &self,
        request: &TransformRequest,
        keys: &HashSet<Path>,
        ours: &mut HashSet<Path>,
    ) -> Result<(), String> {
        // What is there though the engine has run is of another job, which took over.
        if keys.is_empty() || self.has_run {
            return Ok(());
        }
        let request = request.clone().with_manifest(&self.jobs.buckets).await;
        let request = request.map_err(|error| error.to_string())?;
        let input: Store = self.store(&request.input_bucket).map_err(|halt| halt.to_string())?;
        let outputs = Outputs {
            prefix: request.output_prefix.clone(),
            are_beside_inputs: request.input_bucket == request.output_bucket,
        };
        let listing = Listing::begin(&input, &request.input_bucket, &request.source, outputs).await;
        let mut listing = listing.map_err(|error| error.to_string())?;
        while let Some(found) = listing.next().await.map_err(|error| error.to_string())? {
            let Found::Object(object) = found else { continue };
            let rejected = Path::parse(rejected_key(object.output.as_ref())).ok();
            ours.extend(
                [Some(object.output), rejected].into_iter().flatten().filter(|key| keys.contains(key)),
            );
        }
        Ok(())
    }
}
