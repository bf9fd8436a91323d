//! From the places of a command to stores: which objects there are to read, and where outputs go.

use std::io;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use object_store::path::Path;
use transform::Store;
use transform::input::{Source, read_manifest};

use crate::buckets::{Buckets, ExternalStore, key_path};
use crate::config::AwsVariables;
use crate::config::transform::Place;

/// Where inputs are.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) store: Store,
    /// What people call the store: its bucket, or its directory.
    pub(super) name: String,
    pub(super) source: Source,
    /// What tells it from other inputs, wherever the program was started.
    pub(super) identity: String,
}

/// Where outputs go.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) store: Store,
    /// What people call the store, as [`Input::name`].
    pub(super) name: String,
    /// The folder.
    pub(super) prefix: Path,
    /// The directory, if it is one of this machine.
    pub(super) root: Option<PathBuf>,
    /// What tells it from other outputs, wherever the program was started.
    pub(super) identity: String,
}

/// The places of a transform, opened; a directory for outputs is made.
///
/// # Errors
/// When one cannot be used, or outputs would be read as inputs.
pub(super) fn open(
    input: &Place,
    is_manifest: bool,
    output: &Place,
    aws: &AwsVariables,
) -> anyhow::Result<(Input, Output)> {
    refuse_overlap(input, is_manifest, output)?;
    Ok((open_input(input, is_manifest, aws)?, open_output(output, aws)?))
}

fn open_input(place: &Place, is_manifest: bool, aws: &AwsVariables) -> anyhow::Result<Input> {
    match place {
        Place::Stream => bail!("--input: expected objects, found standard input"),
        Place::S3 { bucket, prefix } => {
            let source = if is_manifest {
                Source::Manifest(key(place, prefix)?)
            } else {
                Source::Prefix(prefix.clone())
            };
            let (name, identity) = (bucket.clone(), place.to_string());
            Ok(Input { store: bucket_store(bucket, aws)?, name, source, identity })
        }
        Place::Path(path) => {
            let named = || format!("--input {}", path.display());
            let whole = path.canonicalize().with_context(named)?;
            let (root, source) = if whole.is_dir() {
                (whole.as_path(), Source::Prefix(String::new()))
            } else {
                let name = whole.file_name().and_then(|name| name.to_str());
                let name = name.context("expected a name in UTF-8").with_context(named)?;
                let key = Path::parse(name).with_context(named)?;
                (whole.parent().unwrap_or(&whole), Source::Object(key))
            };
            let store = Store::directory(root).with_context(named)?;
            let name = root.display().to_string();
            Ok(Input { store, name, source, identity: whole.display().to_string() })
        }
    }
}

impl Input {
    /// The input with what its manifest lists in place of the manifest: objects of any bucket.
    ///
    /// # Errors
    /// When the manifest cannot be read, or is none.
    pub(super) async fn with_manifest(mut self, aws: &AwsVariables) -> anyhow::Result<Self> {
        let Source::Manifest(key) = &self.source else { return Ok(self) };
        let manifest = read_manifest(&self.store, key).await?;
        if manifest.bucket != self.name {
            self.store = bucket_store(&manifest.bucket, aws)?;
            self.name.clone_from(&manifest.bucket);
        }
        self.source = Source::Listed { place: self.identity.clone(), manifest: Arc::new(manifest) };
        Ok(self)
    }
}

fn open_output(place: &Place, aws: &AwsVariables) -> anyhow::Result<Output> {
    match place {
        Place::Stream => bail!("--output: expected a place of objects, found standard output"),
        Place::S3 { bucket, prefix } => Ok(Output {
            store: bucket_store(bucket, aws)?,
            name: bucket.clone(),
            prefix: key(place, prefix)?,
            root: None,
            identity: place.to_string().trim_end_matches('/').to_owned(),
        }),
        Place::Path(path) => {
            let named = || format!("--output {}: expected a directory", path.display());
            std::fs::create_dir_all(path).with_context(named)?;
            let root = path.canonicalize().with_context(named)?;
            let store = Store::directory(&root).with_context(named)?;
            let identity = root.display().to_string();
            let name = identity.clone();
            Ok(Output { store, name, prefix: Path::default(), root: Some(root), identity })
        }
    }
}

fn bucket_store(bucket: &str, aws: &AwsVariables) -> anyhow::Result<Store> {
    Ok(Buckets::External(ExternalStore::new(None, aws)).store(bucket)?)
}

fn key(place: &Place, prefix: &str) -> anyhow::Result<Path> {
    key_path(prefix.trim_end_matches('/'))
        .with_context(|| format!("{place}: expected folders that have names"))
}

/// Outputs below the inputs would be the inputs of the next run, or of this one.
fn refuse_overlap(input: &Place, is_manifest: bool, output: &Place) -> anyhow::Result<()> {
    let overlaps = match (input, output) {
        (Place::S3 { bucket, prefix }, Place::S3 { bucket: to, prefix: folder }) => {
            let folder = folder.trim_end_matches('/');
            let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            !is_manifest && bucket == to && below.starts_with(prefix.as_str())
        }
        (Place::Path(input), Place::Path(output)) => {
            let named = |path: &FilePath| format!("{}", path.display());
            let input = real(input).with_context(|| named(input))?;
            input.is_dir() && real(output).with_context(|| named(output))?.starts_with(&input)
        }
        _ => false,
    };
    if overlaps {
        bail!(
            "--output: expected a place outside of the input {input}, found {output}: outputs would be read as inputs"
        );
    }
    Ok(())
}

/// `path` without links and dots; what is not there yet counts as it is written.
fn real(path: &FilePath) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::ParentDir => _ = real.pop(),
            component => real.push(component),
        }
        // Resolved where it is met, so that `..` behind a link is the parent of what the link names.
        if let Ok(resolved) = real.canonicalize() {
            real = resolved;
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> Place {
        Place::S3 { bucket: bucket.into(), prefix: prefix.into() }
    }

    #[test]
    fn outputs_below_the_inputs_are_refused() {
        let check = |input: &Place, output: &Place, is_refused| {
            assert_eq!(refuse_overlap(input, false, output).is_err(), is_refused, "{input} {output}");
        };
        check(&s3("b", "in/"), &s3("b", "out"), false);
        check(&s3("b", "in/"), &s3("b", "in/out"), true);
        check(&s3("b", "in"), &s3("b", "in_out"), true);
        check(&s3("b", "in/x.csv"), &s3("b", "in"), false);
        check(&s3("b", ""), &s3("b", "out"), true);
        check(&s3("b", ""), &s3("c", "out"), false);
        assert!(refuse_overlap(&s3("b", "in"), true, &s3("b", "in")).is_ok());
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| Place::Path(scratch.path().join(name));
        std::fs::create_dir_all(scratch.path().join("in/sub")).unwrap();
        std::fs::write(scratch.path().join("in/x.csv"), "1").unwrap();
        std::os::unix::fs::symlink(scratch.path().join("in"), scratch.path().join("link")).unwrap();
        check(&path("in"), &path("out"), false);
        check(&path("in"), &path("in"), true);
        check(&path("in"), &path("in/new/out"), true);
        check(&path("in"), &path("link/out"), true);
        check(&path("in"), &path("link/../out"), false);
        check(&path("in"), &path("in/../out"), false);
        check(&path("in/x.csv"), &path("in"), false);
    }

    #[test]
    fn a_file_is_read_alone_and_a_directory_whole() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("x.csv"), "1").unwrap();
        let aws = AwsVariables::default();
        let source = |path: PathBuf| open_input(&Place::Path(path), false, &aws).map(|input| input.source);
        let one = source(scratch.path().join("x.csv")).unwrap();
        assert_eq!(one, Source::Object(Path::from("x.csv")));
        assert_eq!(source(scratch.path().into()).unwrap(), Source::Prefix(String::new()));
        source(scratch.path().join("none")).expect_err("nothing is there");
        let file = Place::Path(scratch.path().join("x.csv"));
        let error = format!("{:#}", open_output(&file, &aws).expect_err("a file"));
        assert!(error.contains("expected a directory"), "{error}");
    }
}
