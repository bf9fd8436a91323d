//! A folder that is mirrored to a store while programs write to it: checkpoints, with their deletions, and intermediate output.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::failure::Failure;
use crate::files;
use crate::input::{Budget, download, objects_below};
use crate::stores::{Place, Stores};
use crate::upload::Target;

/// How often the folder is looked at. Reason: a checkpoint that was not mirrored is lost with the machine; a look is one listing.
const PAUSE: Duration = Duration::from_secs(1);

/// How the names of files end that are still being written: whoever writes a checkpoint writes it under such a name, and then
/// renames it.
const UNFINISHED: [&str; 3] = [".partial", ".tmp", ".temp"];

/// What tells one version of a file from the next.
type Version = (u64, Option<SystemTime>);

/// A folder and its mirror.
pub(crate) struct Mirror {
    folder: PathBuf,
    target: Target,
    /// Whether what goes away here goes away there.
    deletes: bool,
    /// What is there as it is here.
    known: BTreeMap<String, Version>,
}

impl Mirror {
    /// The folder's mirror at `uri`.
    pub(crate) async fn new(
        stores: &dyn Stores,
        uri: &str,
        folder: &Path,
        deletes: bool,
    ) -> Result<Self, Failure> {
        let target = Target::new(stores, uri).await?;
        Ok(Self { folder: folder.to_path_buf(), target, deletes, known: BTreeMap::new() })
    }

    /// Fetches what is there and not here: what is here was written by an earlier run of the job, and is as new or newer.
    pub(crate) async fn copy_in(&mut self, stores: &dyn Stores, budget: &Budget) -> Result<(), Failure> {
        let Place { bucket, key } = &self.target.place;
        let folder = if key.is_empty() || key.ends_with('/') { key.clone() } else { format!("{key}/") };
        let mut objects = objects_below(stores, &Place { bucket: bucket.clone(), key: folder }).await?;
        objects.retain(|object| !is_unfinished(&object.name) && !self.folder.join(&object.name).exists());
        download(&objects, &self.folder, budget).await?;
        for object in objects {
            if let Ok(metadata) = fs::symlink_metadata(self.folder.join(&object.name)) {
                self.known.insert(object.name, version(&metadata));
            }
        }
        Ok(())
    }

    /// Uploads what is new here, and deletes what is gone.
    pub(crate) async fn sync(&mut self) -> Result<(), Failure> {
        let folder = self.folder.clone();
        let listed = tokio::task::spawn_blocking(move || files::list(&folder)).await;
        let listed = listed.map_err(|error| Failure::Internal(error.to_string()))?;
        let listed =
            listed.map_err(|error| Failure::Client(format!("{}: {error}", self.folder.display())))?;
        let mut gone: Vec<String> = self.known.keys().cloned().collect();
        for file in listed.files {
            gone.retain(|name| *name != file.name);
            let version = version(&file.metadata);
            if is_unfinished(&file.name) || self.known.get(&file.name) == Some(&version) {
                continue;
            }
            match self.target.put(&file.name, &file.path).await {
                Ok(_) => _ = self.known.insert(file.name, version),
                // Gone since it was listed; the next look tells.
                Err(Failure::Internal(_)) if !file.path.exists() => {}
                Err(failure) => return Err(failure),
            }
        }
        for name in gone {
            if self.deletes {
                self.target.delete(&name).await?;
            }
            self.known.remove(&name);
        }
        Ok(())
    }

    /// Mirrors until `ends`, and once more. The failure is that of the last time: those before may have passed.
    pub(crate) async fn keep(mut self, mut ends: watch::Receiver<bool>) -> Result<(), Failure> {
        loop {
            let is_last = tokio::select! {
                biased;
                _ = ends.wait_for(|has_ended| *has_ended) => true,
                () = tokio::time::sleep(PAUSE) => false,
            };
            match self.sync().await {
                synced if is_last => return synced,
                Err(failure) => tracing::warn!(folder = %self.folder.display(), %failure, "cannot mirror"),
                Ok(()) => {}
            }
        }
    }
}

fn version(metadata: &fs::Metadata) -> Version {
    (metadata.len(), metadata.modified().ok())
}

fn is_unfinished(name: &str) -> bool {
    UNFINISHED.iter().any(|ending| name.ends_with(ending))
}
