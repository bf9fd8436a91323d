//! Listing: keys in the order of their bytes, common prefixes rolled up, from a position on.
//!
//! A position is a place in that order, not a count, so that a list goes on rightly while objects come and go. A common prefix
//! costs one seek, however many keys it stands for.

use rusqlite::Connection;

use super::unsigned;
use crate::error::Result;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// What keys begin with.
    pub prefix: String,
    /// Where keys are cut after the prefix: one entry for all keys that are the same up to there. Empty cuts nothing.
    pub delimiter: String,
    /// Only what comes after this, itself left out.
    pub after: Option<String>,
    /// How many entries at most.
    pub limit: usize,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Its entity tag, without quotes.
    pub etag: String,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects, in order.
    pub objects: Vec<ListedObject>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where to go on (`after`), if there is more.
    pub next: Option<String>,
}

/// The smallest bytes that come after everything that begins with `prefix`; none if nothing does.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Some(bytes);
        }
    }
    None
}

/// The common prefix that `key` is rolled up into.
fn rolled_up<'k>(key: &'k str, query: &ListQuery) -> Option<&'k str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let at = key.get(query.prefix.len()..)?.find(&query.delimiter)?;
    Some(&key[..query.prefix.len() + at + query.delimiter.len()])
}

/// Where the list begins: the least key it may show.
fn start(query: &ListQuery) -> Option<Vec<u8>> {
    let prefix = query.prefix.as_bytes().to_vec();
    let Some(after) = &query.after else { return Some(prefix) };
    if *after < query.prefix {
        return Some(prefix);
    }
    if after.starts_with(&query.prefix)
        && let Some(common) = rolled_up(after, query)
    {
        // The prefix that the position lies in was shown with it.
        return successor(common.as_bytes());
    }
    // Nothing lies between a key and the same with a zero byte behind it.
    let mut next = after.as_bytes().to_vec();
    next.push(0);
    Some(next)
}

/// A page of the list.
pub(crate) fn page(connection: &Connection, bucket: &str, query: &ListQuery) -> Result<Page> {
    let id = super::buckets::id(connection, bucket)?;
    let mut page = Page::default();
    let (Some(mut from), true) = (start(query), query.limit > 0) else { return Ok(page) };
    let sql = "SELECT key, size, modified_ms, etag FROM objects WHERE bucket = ?1 AND key >= ?2 ORDER BY key";
    let mut select = connection.prepare_cached(sql)?;
    let (mut count, mut last) = (0, String::new());
    loop {
        let mut rows = select.query((id, &from))?;
        let skip = loop {
            let Some(row) = rows.next()? else { return Ok(page) };
            let key = String::from_utf8_lossy(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
            if !key.starts_with(&query.prefix) {
                return Ok(page);
            }
            if count == query.limit {
                page.next = Some(last);
                return Ok(page);
            }
            count += 1;
            if let Some(common) = rolled_up(&key, query) {
                last = common.to_owned();
                page.prefixes.push(common.to_owned());
                break successor(common.as_bytes());
            }
            last.clear();
            last.push_str(&key);
            page.objects.push(ListedObject {
                key: key.into_owned(),
                size: unsigned(row.get(1)?),
                modified_ms: row.get(2)?,
                etag: row.get(3)?,
            });
        };
        let Some(next) = skip else { return Ok(page) };
        from = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::buckets::{self, BucketRecord};
    use crate::index::{Index, objects};
    use crate::record::{Details, ObjectRecord};

    const KEYS: [&str; 10] = ["a", "a/", "a/b", "a/c/d", "a0", "b", "b/x", "b/y", "é/1", "\u{10ffff}"];

    fn with_index(check: impl FnOnce(&Index)) {
        let scratch = tempfile::tempdir().unwrap();
        let index = Index::open(&scratch.path().join("index.sqlite")).unwrap();
        let bucket = BucketRecord { name: "bucket".into(), created_ms: 0, location: String::new() };
        index.write(|tx| buckets::create(tx, &bucket)).unwrap();
        index.write(|tx| KEYS.iter().try_for_each(|key| objects::put(tx, 1, key, &record()))).unwrap();
        check(&index);
    }

    fn record() -> ObjectRecord {
        ObjectRecord {
            generation: 1,
            size: 0,
            modified_ms: 0,
            etag: String::new(),
            details: Details::default(),
        }
    }

    /// What pages of `limit` show, joined; prefixes stand in brackets.
    fn listed(index: &Index, prefix: &str, delimiter: &str, after: Option<&str>, limit: usize) -> String {
        let (prefix, delimiter) = (prefix.to_owned(), delimiter.to_owned());
        let mut query = ListQuery { prefix, delimiter, after: after.map(str::to_owned), limit };
        let mut shown = Vec::new();
        loop {
            let page = index.read(|connection| page(connection, "bucket", &query)).unwrap();
            assert!(page.objects.len() + page.prefixes.len() <= limit);
            let mut entries: Vec<_> =
                page.objects.into_iter().map(|object| (object.key.clone(), object.key)).collect();
            entries.extend(page.prefixes.into_iter().map(|prefix| (prefix.clone(), format!("[{prefix}]"))));
            entries.sort();
            shown.extend(entries.into_iter().map(|(_, text)| text));
            let Some(next) = page.next else { return shown.join(" ") };
            query.after = Some(next);
        }
    }

    #[test]
    fn every_page_size_shows_the_same() {
        with_index(|index| {
            let check = |prefix: &str, delimiter: &str, after: Option<&str>, expected: &str| {
                for limit in [1, 2, 3, 1000] {
                    assert_eq!(
                        listed(index, prefix, delimiter, after, limit),
                        expected,
                        "{prefix} {delimiter} {limit}"
                    );
                }
            };
            check("", "", None, "a a/ a/b a/c/d a0 b b/x b/y é/1 \u{10ffff}");
            check("", "/", None, "a [a/] a0 b [b/] [é/] \u{10ffff}");
            check("a", "", None, "a a/ a/b a/c/d a0");
            check("a/", "/", None, "a/ a/b [a/c/]");
            check("a", "/", None, "a [a/] a0");
            check("", "", Some("a/b"), "a/c/d a0 b b/x b/y é/1 \u{10ffff}");
            check("", "/", Some("a/"), "a0 b [b/] [é/] \u{10ffff}");
            check("", "/", Some("a/b"), "a0 b [b/] [é/] \u{10ffff}");
            check("b", "", Some("a"), "b b/x b/y");
            check("b", "", Some("c"), "");
            check("é", "/", None, "[é/]");
            check("zz", "", None, "");
            check("\u{10ffff}", "\u{10ffff}", None, "\u{10ffff}");
            check("", "\u{10ffff}", None, "a a/ a/b a/c/d a0 b b/x b/y é/1 [\u{10ffff}]");
            check("a/c", "/c/", None, "a/c/d");
        });
    }

    #[test]
    fn a_list_goes_on_where_it_was_while_keys_come_and_go() {
        with_index(|index| {
            let mut query = ListQuery { limit: 3, ..ListQuery::default() };
            let first = index.read(|connection| page(connection, "bucket", &query)).unwrap();
            assert_eq!(first.next.as_deref(), Some("a/b"));
            // The key that the position names goes, another before it comes, one after it comes.
            index.write(|tx| objects::delete(tx, 1, "a/b")).unwrap();
            index.write(|tx| objects::put(tx, 1, "a/a", &record())).unwrap();
            index.write(|tx| objects::put(tx, 1, "a/bb", &record())).unwrap();
            query.after = first.next;
            let second = index.read(|connection| page(connection, "bucket", &query)).unwrap();
            let keys: Vec<_> = second.objects.iter().map(|object| object.key.as_str()).collect();
            assert_eq!(keys, ["a/bb", "a/c/d", "a0"]);
        });
    }

    #[test]
    fn a_limit_of_nothing_shows_nothing() {
        with_index(|index| {
            let page = index.read(|connection| page(connection, "bucket", &ListQuery::default())).unwrap();
            assert_eq!(page, Page::default());
        });
    }
}
