//! What programs leave, into objects: the model, other output, and the points of all metrics.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::archive::pack_files;

use crate::failure::Failure;
use crate::files;
use crate::host::Host;
use crate::job::{Compression, Job};
use crate::listener::Listener;
use crate::metrics;
use crate::stores::Stores;
use crate::training::{blocking, now_ms};
use crate::upload::Target;

/// The URIs of what was published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) model: Option<String>,
    pub(crate) output: Option<String>,
}

/// Where things go, and from where.
pub(crate) struct Publisher<'a> {
    pub(crate) job: &'a Job,
    pub(crate) hosts: &'a [Host],
    pub(crate) stores: &'a dyn Stores,
    pub(crate) listener: &'a Arc<dyn Listener>,
}

/// Files of all hosts, by their names in the archive.
type Files = Vec<(String, PathBuf)>;

impl Publisher<'_> {
    /// Publishes what a job left that ended well, or was asked to end.
    pub(crate) async fn all(&self) -> Result<Published, Failure> {
        let model = self.model().await?;
        let output = self.output().await?;
        Ok(Published { model, output })
    }

    /// Publishes what a failed job left besides a model, which is none.
    pub(crate) async fn output(&self) -> Result<Option<String>, Failure> {
        let target = self.target().await?;
        self.points(&target).await?;
        let mut files = self.files(Host::output_data).await?;
        let failure_file = self.hosts.iter().find(|host| host.failure_text().is_some());
        if let Some(host) = failure_file
            && !files.iter().any(|(name, _)| name == "failure")
        {
            files.push(("failure".to_owned(), host.failure_file()));
        }
        self.packed("output.tar.gz", files, &target).await
    }

    async fn target(&self) -> Result<Target, Failure> {
        let target = Target::new(self.stores, &self.job.output.uri).await?;
        Ok(target.below(&format!("{}/output", self.job.name)))
    }

    async fn model(&self) -> Result<Option<String>, Failure> {
        let target = self.target().await?;
        let files = self.files(Host::model).await?;
        if self.job.output.compression == Compression::Gzip {
            return self.packed("model.tar.gz", files, &target).await;
        }
        let folder = target.below("model");
        for (name, path) in &files {
            folder.put(name, path).await?;
        }
        Ok((!files.is_empty()).then(|| format!("{}/", folder.place)))
    }

    /// The files that hosts have in a folder, each name once: where several hosts have one, it is the first's.
    async fn files(&self, folder: fn(&Host) -> PathBuf) -> Result<Files, Failure> {
        let (mut files, mut names) = (Vec::new(), HashSet::new());
        for host in self.hosts {
            let folder = folder(host);
            let listed = blocking(move || files::list(&folder)).await?;
            let listed = listed.map_err(|error| Failure::Client(format!("{}: {error}", host.name)))?;
            for refused in listed.refused {
                self.listener.line(host.number, now_ms(), &format!("warning: not uploaded: {refused}"));
            }
            for file in listed.files {
                if names.insert(file.name.clone()) {
                    files.push((file.name, file.path));
                }
            }
        }
        Ok(files)
    }

    /// Uploads `files` as one archive; nothing, where there are none.
    async fn packed(&self, name: &str, files: Files, target: &Target) -> Result<Option<String>, Failure> {
        if files.is_empty() {
            return Ok(None);
        }
        let archive = self.job.folder.join(name);
        let written = archive.clone();
        blocking(move || pack(&files, &written)).await??;
        let place = target.put(name, &archive).await?;
        Ok(Some(place.to_string()))
    }

    /// Uploads the points of all metrics, if there are any.
    async fn points(&self, target: &Target) -> Result<(), Failure> {
        let path = self.job.folder.join(metrics::FILE_NAME);
        let has_points = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0);
        if has_points {
            target.put(metrics::FILE_NAME, &path).await?;
        }
        Ok(())
    }
}

/// Blocks.
fn pack(files: &[(String, PathBuf)], archive: &Path) -> Result<(), Failure> {
    let disk = |error: std::io::Error| Failure::Internal(format!("{}: {error}", archive.display()));
    let output = File::create(archive).map_err(disk)?;
    let packed = pack_files(files, std::io::BufWriter::new(output));
    let output = packed.map_err(|error| Failure::Client(format!("cannot be packed: {error}")))?;
    output.into_inner().map(drop).map_err(|error| disk(error.into_error()))
}
