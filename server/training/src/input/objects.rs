//! Which objects a prefix or a manifest names, and what their files are called.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt as _};
use transform::input::{MANIFEST_BYTES_MAX, Manifest};

use super::{ITEMS_MAX, failed};
use crate::channel::Source;
use crate::failure::Failure;
use crate::stores::{Place, Stores};

/// An object of a channel.
#[derive(Clone)]
pub(crate) struct Object {
    /// Where it is.
    pub(crate) place: Place,
    /// What its file is called, folders included.
    pub(crate) name: String,
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.place, self.name)
    }
}

impl Object {
    /// Its size and its bytes.
    pub(crate) async fn get(&self) -> object_store::Result<GetResult> {
        self.store.get(&self.path).await
    }

    /// The failure of a fetch of it.
    pub(crate) fn failed(&self, reason: &dyn fmt::Display) -> Failure {
        failed(&self.place, reason)
    }
}

/// The objects that `source` names, sorted by key.
pub(crate) async fn objects_of(stores: &dyn Stores, source: &Source) -> Result<Vec<Object>, Failure> {
    let uri = source.uri();
    let place = Place::parse(uri).ok_or_else(|| failed(&uri, &"expected s3://bucket/key"))?;
    let mut objects = match source {
        Source::Prefix(_) => objects_below(stores, &place).await?,
        Source::Manifest(_) | Source::Augmented { .. } => listed(stores, &place).await?,
    };
    if objects.is_empty() {
        return Err(Failure::Client(format!(
            "Data download failed:No S3 objects found under S3 URL \"{uri}\" given in input data source. Check the bucket's \
             name, and that keys begin with the prefix."
        )));
    }
    objects.sort_unstable_by(|one, other| one.place.key.cmp(&other.place.key));
    Ok(objects)
}

/// The object at a place, whose file has the last part of its key as its name.
pub(crate) async fn object_at(stores: &dyn Stores, place: Place) -> Result<Object, Failure> {
    let store = stores.store(&place.bucket).await.map_err(|error| failed(&place, &error))?;
    let path = Path::parse(&place.key).map_err(|error| failed(&place, &error))?;
    let name = place.key.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Object { place, name, store, path })
}

/// Objects whose keys begin with a place's.
pub(crate) async fn objects_below(stores: &dyn Stores, place: &Place) -> Result<Vec<Object>, Failure> {
    let store = stores.store(&place.bucket).await.map_err(|error| failed(place, &error))?;
    // Stores list folders, and a prefix may end within a name.
    let folder = folder_of(&place.key);
    let folder_path = Path::parse(folder).map_err(|error| failed(place, &error))?;
    let mut listed = store.list((!folder.is_empty()).then_some(&folder_path));
    let (mut objects, mut empty) = (Vec::new(), HashSet::new());
    while let Some(meta) = listed.try_next().await.map_err(|error| failed(place, &error))? {
        let key = meta.location.as_ref().to_owned();
        let Some(name) = file_name(&place.key, &key) else { continue };
        if objects.len() == ITEMS_MAX {
            return Err(failed(place, &format!("expected at most {ITEMS_MAX} objects, found more")));
        }
        if meta.size == 0 {
            empty.insert(key.clone());
        }
        let place = Place { bucket: place.bucket.clone(), key };
        objects.push(Object { place, name, store: Arc::clone(&store), path: meta.location });
    }
    drop_markers(&mut objects, &empty);
    Ok(objects)
}

/// Without the objects that stand for folders, as consoles make them: without a byte, and with others below.
fn drop_markers(objects: &mut Vec<Object>, empty: &HashSet<String>) {
    if empty.is_empty() {
        return;
    }
    let folders = |object: &Object| {
        let key = object.place.key.clone();
        let ends: Vec<_> = key.match_indices('/').map(|(at, _)| at).collect();
        ends.into_iter().map(move |at| key[..at].to_owned())
    };
    let markers: HashSet<String> =
        objects.iter().flat_map(folders).filter(|key| empty.contains(key)).collect();
    objects.retain(|object| !markers.contains(&object.place.key));
}

/// The objects that the manifest at a place lists.
async fn listed(stores: &dyn Stores, place: &Place) -> Result<Vec<Object>, Failure> {
    let bytes = read(stores, place.clone(), MANIFEST_BYTES_MAX).await?;
    let manifest = Manifest::parse(&bytes).map_err(|error| failed(place, &error))?;
    let store = stores.store(&manifest.bucket).await.map_err(|error| failed(place, &error))?;
    let object = |name: &String| {
        let key = format!("{}{name}", manifest.prefix);
        let path = Path::parse(&key).map_err(|error| failed(place, &error))?;
        let place = Place { bucket: manifest.bucket.clone(), key };
        Ok(Object { place, name: name.clone(), store: Arc::clone(&store), path })
    };
    manifest.keys.iter().map(object).collect()
}

/// All bytes of the object at a place, of which there are no more than `bytes_max`.
pub(super) async fn read(stores: &dyn Stores, place: Place, bytes_max: u64) -> Result<Bytes, Failure> {
    let object = object_at(stores, place).await?;
    let answer = object.get().await.map_err(|error| object.failed(&error))?;
    let size = answer.meta.size;
    if size > bytes_max {
        return Err(object.failed(&format!("expected at most {bytes_max} bytes, found {size}")));
    }
    answer.bytes().await.map_err(|error| object.failed(&error))
}

/// All of a prefix up to its last slash.
fn folder_of(prefix: &str) -> &str {
    prefix.rfind('/').map_or("", |slash| &prefix[..slash])
}

/// What the file of `key` is called below its channel's folder, if the key begins with `prefix`: what follows a prefix that is
/// a folder, or that is the name of one; else all below the folder in which the prefix ends.
fn file_name(prefix: &str, key: &str) -> Option<String> {
    let rest = key.strip_prefix(prefix)?;
    let name = if prefix.is_empty() || prefix.ends_with('/') {
        rest
    } else if let Some(below) = rest.strip_prefix('/') {
        below
    } else {
        key[folder_of(prefix).len()..].trim_start_matches('/')
    };
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let check = |prefix: &str, key: &str, expected: Option<&str>| {
            assert_eq!(file_name(prefix, key).as_deref(), expected, "{prefix} {key}");
        };
        check("", "a/x.csv", Some("a/x.csv"));
        check("a/", "a/x.csv", Some("x.csv"));
        check("a/", "a/b/x.csv", Some("b/x.csv"));
        check("a", "a/b/x.csv", Some("b/x.csv"));
        check("a/x.csv", "a/x.csv", Some("x.csv"));
        check("a/x", "a/x.csv", Some("x.csv"));
        check("a/tr", "a/train/x.csv", Some("train/x.csv"));
        check("tr", "train/x.csv", Some("train/x.csv"));
        check("a/b", "a/c", None);
        check("a/", "a", None);
    }
}
