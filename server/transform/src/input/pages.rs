//! The keys of a store that begin with a string, a page at a time, and patiently: a store that fails for a while does not end a
//! list of a million keys. What comes behind the last of them in order is not asked for.

use std::collections::VecDeque;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::{self, Path};
use object_store::{Error, ObjectMeta, ObjectStoreExt as _, Result};

use super::key::{exact_path, folder_of};
use crate::store::{Listed, Store};
use crate::upload::retry::{self, Pauses};

/// What stands at a key.
pub(super) enum Entry {
    /// An object.
    Object(Path, Listed),
    /// One that cannot be read, and why.
    Unusable { key: String, reason: String },
}

/// The keys of a store that begin with a string.
pub(super) enum Pages {
    /// Of a store that lists strings.
    Strings(Strings),
    /// Of one that lists folders.
    Folder(Folder),
}

impl Pages {
    pub(super) async fn begin(store: &Store, prefix: &str) -> Result<Self> {
        let page = retry::retried(0, || store.uploads.page(prefix, "")).await?;
        let (store, prefix) = (store.clone(), prefix.to_owned());
        Ok(match page {
            Some(page) => {
                let (waiting, is_last) = (VecDeque::from(page.objects), page.is_last);
                Self::Strings(Strings { store, prefix, waiting, is_last, last: String::new() })
            }
            None => Self::Folder(Folder {
                keys: list(&store, &prefix, before(&prefix).as_ref()),
                store,
                prefix,
                last: None,
            }),
        })
    }

    /// The next; markers of folders are passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>> {
        match self {
            Self::Strings(strings) => strings.next().await,
            Self::Folder(folder) => folder.next().await,
        }
    }
}

pub(super) struct Strings {
    store: Store,
    prefix: String,
    waiting: VecDeque<Listed>,
    is_last: bool,
    /// The last key that was listed.
    last: String,
}

impl Strings {
    async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            while let Some(listed) = self.waiting.pop_front() {
                self.last.clone_from(&listed.key);
                if !listed.key.ends_with('/') || listed.size > 0 {
                    return Ok(Some(entry(listed)));
                }
            }
            if self.is_last {
                return Ok(None);
            }
            self.turn().await?;
        }
    }

    async fn turn(&mut self) -> Result<()> {
        let page = retry::retried(0, || self.store.uploads.page(&self.prefix, &self.last)).await?;
        let page = page.unwrap_or_default();
        let goes_on = page.objects.first().is_none_or(|first| first.key > self.last);
        // A store that gives the same page for ever would be listed for ever.
        if !goes_on || (page.objects.is_empty() && !page.is_last) {
            let source = format!("expected keys behind {:?}, found none", self.last).into();
            return Err(Error::Generic { store: "list", source });
        }
        (self.waiting, self.is_last) = (page.objects.into(), page.is_last);
        Ok(())
    }
}

/// What `listed` is.
fn entry(listed: Listed) -> Entry {
    match exact_path(&listed.key) {
        Ok(path) => Entry::Object(path, listed),
        Err(reason) => Entry::Unusable { key: listed.key, reason },
    }
}

/// A prefix is a string, where `object_store` lists folders: the folder around it is listed, from a key shortly before the first
/// that begins with it.
pub(super) struct Folder {
    store: Store,
    prefix: String,
    keys: BoxStream<'static, Result<ObjectMeta>>,
    /// The last key that was listed.
    last: Option<Path>,
}

impl Folder {
    async fn next(&mut self) -> Result<Option<Entry>> {
        while let Some(listed) = self.listed().await {
            let meta = match listed {
                Ok(meta) => meta,
                Err(Error::InvalidPath { source }) => match unnameable(&self.prefix, source) {
                    Some(entry) => return Ok(Some(entry)),
                    None => continue,
                },
                Err(error) => return Err(error),
            };
            let key = meta.location.as_ref();
            if !key.starts_with(&self.prefix) {
                if self.store.uploads.lists_in_order() && key > self.prefix.as_str() {
                    return Ok(None);
                }
                continue;
            }
            if meta.size > 0 || !is_marker(&self.store, &meta).await? {
                return Ok(Some(Entry::Object(meta.location.clone(), meta.into())));
            }
        }
        Ok(None)
    }

    /// What the store lists next; where it fails and has an order, the list goes on behind the last key.
    async fn listed(&mut self) -> Option<Result<ObjectMeta>> {
        let mut pauses = Pauses::default();
        for _ in 1..retry::TRIES_MAX {
            match self.keys.next().await {
                Some(Err(error)) if self.store.uploads.lists_in_order() && !retry::is_final(&error) => {
                    tracing::debug!(%error, "a list is gone on with");
                    tokio::time::sleep(pauses.next(fastrand::f64())).await;
                    let after = self.last.clone().or_else(|| before(&self.prefix));
                    self.keys = list(&self.store, &self.prefix, after.as_ref());
                }
                next => {
                    if let Some(Ok(meta)) = &next {
                        self.last = Some(meta.location.clone());
                    }
                    return next;
                }
            }
        }
        self.keys.next().await
    }
}

fn list(store: &Store, prefix: &str, after: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
    let folder = Path::parse(folder_of(prefix)).ok().filter(|path| !path.as_ref().is_empty());
    match after {
        Some(after) => store.objects.list_with_offset(folder.as_ref(), after),
        None => store.objects.list(folder.as_ref()),
    }
}

/// A key before those that begin with `prefix` and not far before them; `None` where `prefix` is a folder, all of which is listed.
fn before(prefix: &str) -> Option<Path> {
    let name = &prefix[folder_of(prefix).len()..];
    let last = name.chars().next_back()?;
    let shorter = &prefix[..prefix.len() - last.len_utf8()];
    let offset = Path::parse(shorter).ok()?;
    (name.len() > last.len_utf8() && offset.as_ref() == shorter).then_some(offset)
}

/// A key that is listed and that `object_store` cannot name, if it begins with `prefix`.
fn unnameable(prefix: &str, error: path::Error) -> Option<Entry> {
    let reason = error.to_string();
    let key = match error {
        path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => path,
        _ => prefix.to_owned(),
    };
    key.starts_with(prefix).then_some(Entry::Unusable { key, reason })
}

/// Whether the empty object that was listed is none: the marker of a folder, whose key ends with a slash, is listed without it.
/// What stands at that key, if anything does, is another object then.
async fn is_marker(store: &Store, listed: &ObjectMeta) -> Result<bool> {
    match retry::retried(0, || store.objects.head(&listed.location)).await {
        Ok(found) => Ok(found.size > 0),
        Err(Error::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use object_store::PutPayload;

    use super::*;

    /// A store that is asked for a folder's marker by the key that it is listed under has no such object, or another.
    #[tokio::test]
    async fn empty_objects_are_inputs_and_markers_are_not() {
        let store = Store::memory();
        for (key, bytes) in [("in/empty", ""), ("in/file", "1")] {
            store.objects.put(&Path::parse(key).unwrap(), PutPayload::from(bytes)).await.unwrap();
        }
        let mut meta = store.objects.head(&Path::parse("in/empty").unwrap()).await.unwrap();
        for (key, expected) in [("in/empty", false), ("in/folder", true), ("in/file", true)] {
            meta.location = Path::parse(key).unwrap();
            assert_eq!(is_marker(&store, &meta).await.unwrap(), expected, "{key}");
        }
    }

    fn meta(key: &str) -> ObjectMeta {
        let last_modified = std::time::SystemTime::UNIX_EPOCH.into();
        ObjectMeta { location: Path::parse(key).unwrap(), last_modified, size: 1, e_tag: None, version: None }
    }

    /// What is listed of `in/1` where the store gives `keys`.
    async fn listed(store: Store, keys: BoxStream<'static, Result<ObjectMeta>>) -> Vec<String> {
        let mut folder = Folder { store, prefix: "in/1".to_owned(), keys, last: None };
        let mut found = Vec::new();
        while let Some(entry) = folder.next().await.unwrap() {
            match entry {
                Entry::Object(path, _) => found.push(path.to_string()),
                Entry::Unusable { key, .. } => found.push(key),
            }
        }
        found
    }

    /// A bucket without an end is left behind the last key that is wanted.
    #[tokio::test]
    async fn a_list_in_order_ends_behind_the_last_key() {
        let keys = (0..).map(|number| {
            Ok(meta(&format!("in/{}", "0".repeat(usize::from(number == 0)) + &(number / 2).to_string())))
        });
        let found = listed(Store::memory(), futures_util::stream::iter(keys).boxed()).await;
        assert_eq!(found, ["in/1", "in/1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_in_order_goes_on_where_it_broke() {
        let store = Store::memory();
        for key in ["in/0", "in/1a", "in/1b", "in/2"] {
            store.objects.put(&Path::parse(key).unwrap(), PutPayload::from("1")).await.unwrap();
        }
        let broken = || Err(Error::Generic { store: "test", source: "it broke".into() });
        let keys = futures_util::stream::iter([Ok(meta("in/1a")), broken()]).boxed();
        assert_eq!(listed(store.clone(), keys).await, ["in/1a", "in/1b"]);
        assert_eq!(listed(store, futures_util::stream::iter([broken()]).boxed()).await, ["in/1a", "in/1b"]);
    }

    #[test]
    fn a_key_without_a_name_is_that_objects_failure() {
        let check = |prefix: &str, key: &str, expected: bool| {
            let found = unnameable(prefix, Path::parse(key).unwrap_err());
            let found = found.map(|entry| match entry {
                Entry::Unusable { key, .. } => key,
                Entry::Object(path, _) => path.to_string(),
            });
            assert_eq!(found, expected.then(|| key.to_owned()), "{key}");
        };
        check("in/", "in/a//b", true);
        check("in/", "in/../b", true);
        check("in/", "other//b", false);
    }
}
