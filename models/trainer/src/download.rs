//! Rows in S3: the objects below a prefix are copied to a folder of this machine before training. Keys, region and endpoint
//! are those of the environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL` and the others that the AWS tools know).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use estimator::TrainError;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

/// The most bytes of one source. Reason: more is read in place by training jobs, and a wrong prefix must not fill a disk.
const BYTES_MAX: u64 = 64 << 30;
/// The most objects of one source, as of a channel's files.
const OBJECTS_MAX: usize = 100_000;

/// The rows that `source` names: a path of this machine as it is; what lies below `s3://bucket/prefix` once it is copied into
/// `folder`.
///
/// # Errors
/// When the source is of another store, has no object, is beyond a limit, or cannot be read.
pub(crate) fn to_here(flag: &str, source: &str, folder: &Path) -> Result<PathBuf, TrainError> {
    let Some((scheme, rest)) = source.split_once("://") else { return Ok(source.into()) };
    let fault = |reason: String| TrainError::client(format!("--{flag} {source}: {reason}"));
    if scheme != "s3" {
        return Err(fault("expected a path of this machine or s3://bucket/prefix".into()));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_allow_http(true)
        .build()
        .map_err(|error| fault(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| TrainError::Internal(error.to_string()))?;
    runtime.block_on(copy(&store, prefix, folder)).map_err(fault)?;
    Ok(folder.to_path_buf())
}

async fn copy(store: &AmazonS3, prefix: &str, folder: &Path) -> Result<(), String> {
    let objects = list(store, prefix).await?;
    for object in objects {
        let path = folder.join(below(prefix, object.location.as_ref())?);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        download(store, &object.location, &path).await?;
    }
    Ok(())
}

/// The objects below `prefix`, which may be one object's key.
async fn list(store: &AmazonS3, prefix: &str) -> Result<Vec<ObjectMeta>, String> {
    // A prefix of the store's interface is a folder; an object that is named by its whole key stands beside it.
    let key = Key::parse(prefix.trim_end_matches('/')).map_err(|error| error.to_string())?;
    if !prefix.is_empty()
        && !prefix.ends_with('/')
        && let Ok(object) = store.head(&key).await
    {
        return checked(vec![object], prefix);
    }
    let listed = store.list(Some(&key)).take(OBJECTS_MAX + 1).try_collect::<Vec<_>>().await;
    let objects = listed.map_err(|error| error.to_string())?;
    checked(objects.into_iter().filter(|object| !object.location.as_ref().ends_with('/')).collect(), prefix)
}

fn checked(objects: Vec<ObjectMeta>, prefix: &str) -> Result<Vec<ObjectMeta>, String> {
    let bytes: u64 = objects.iter().map(|object| object.size).sum();
    match objects.len() {
        0 => Err(format!("expected objects at or below {prefix:?}, found none")),
        count if count > OBJECTS_MAX => Err(format!("expected at most {OBJECTS_MAX} objects, found more")),
        _ if bytes > BYTES_MAX => Err(format!("expected at most {BYTES_MAX} bytes, found {bytes}")),
        _ => Ok(objects),
    }
}

/// Where an object goes, below the folder: its key without the prefix.
fn below(prefix: &str, key: &str) -> Result<PathBuf, String> {
    let rest = key.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(key).trim_start_matches('/');
    let name = if rest.is_empty() { key.rsplit('/').next().unwrap_or(key) } else { rest };
    let path = PathBuf::from(name);
    match path.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(path),
        false => Err(format!("expected keys that are paths below the prefix, found {key:?}")),
    }
}

async fn download(store: &AmazonS3, key: &Key, path: &Path) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    let answer = store.get(key).await.map_err(|error| error.to_string())?;
    let mut file = File::create(path).map_err(fault)?;
    let mut bytes = answer.into_stream();
    while let Some(part) = bytes.next().await {
        file.write_all(&part.map_err(|error| error.to_string())?).map_err(fault)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_machine_stay() {
        let found = to_here("train", "a/b.csv", Path::new("/nowhere")).expect("a path");
        assert_eq!(found, PathBuf::from("a/b.csv"));
        let error = to_here("train", "gs://bucket/a", Path::new("/nowhere")).expect_err("another store");
        assert!(
            error.to_string().contains("--train gs://bucket/a: expected a path of this machine or s3://"),
            "{error}"
        );
    }

    #[test]
    fn objects_keep_their_structure_below_the_prefix() {
        let check = |prefix, key, expected: Option<&str>| {
            assert_eq!(below(prefix, key).ok(), expected.map(PathBuf::from));
        };
        check("data/", "data/x/a.csv", Some("x/a.csv"));
        check("data", "data/a.csv", Some("a.csv"));
        check("data/a.csv", "data/a.csv", Some("a.csv"));
        check("", "a.csv", Some("a.csv"));
        check("data", "data/../a.csv", None);
    }
}
