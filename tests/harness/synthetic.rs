//! Objects that nobody stores: an input of any size, whose bytes are a function of their place, and a bucket that takes outputs
//! of any size and keeps their lengths and checksums.
//!
//! The one idea: a transform of a hundred gibibytes needs no disk to be checked, byte for byte.

mod rows;
mod sink;

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault_store::{Head, answer, refuse};
pub use rows::{COLUMNS, PERIOD, ROW_BYTES, Rows};
pub use sink::{Kept, Sink};

/// The bucket of the input.
pub const INPUT: &str = "synthetic";

/// The bucket that takes outputs.
pub const OUTPUT: &str = "sink";

/// The input's key.
pub const KEY: &str = "in/rows.csv";

/// Bytes of the input that are made at once. Reason: whole rows, and small beside a part.
const PIECE_BYTES: usize = 4096 * ROW_BYTES;

/// The two buckets.
#[derive(Debug)]
pub struct Synthetic {
    rows: Rows,
    /// Rows of the input.
    count: u64,
    /// Bytes of the input that were sent.
    read: AtomicU64,
    /// Which version of the input this is.
    version: AtomicU64,
    sink: Sink,
}

impl Synthetic {
    /// Of `count` rows.
    pub fn new(count: u64, seed: u64) -> Self {
        Self {
            rows: Rows::new(seed),
            count,
            read: AtomicU64::new(0),
            version: AtomicU64::new(1),
            sink: Sink::default(),
        }
    }

    /// The input's bytes.
    pub fn bytes(&self) -> u64 {
        self.count * ROW_BYTES as u64
    }

    /// The input's rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes of the input were sent.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Another version of the input stands there from now on.
    pub fn change(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Its entity tag.
    fn e_tag(&self) -> String {
        format!("\"a-function-of-the-place-{}\"", self.version.load(Ordering::Relaxed))
    }

    /// What was written.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Whether a request is of one of its buckets.
    pub(crate) fn is_of(&self, head: &Head) -> bool {
        matches!(bucket_and_key(head), (INPUT | OUTPUT, _))
    }

    /// Answers a request.
    pub(crate) fn answer(&self, head: &Head, body: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        match bucket_and_key(head) {
            (OUTPUT, key) => self.sink.answer(head, key, body, to),
            (_, "") => listed(head, &[(KEY.to_owned(), self.bytes(), self.e_tag())], to),
            (_, KEY) => self.object(head, to),
            _ => refuse(to, "404 Not Found", "NoSuchKey"),
        }
    }

    /// HEAD and GET of the input.
    fn object(&self, head: &Head, to: &mut impl Write) -> io::Result<()> {
        let e_tag = self.e_tag();
        if head.header("if-match").is_some_and(|wanted| wanted != e_tag) {
            return refuse(to, "412 Precondition Failed", "PreconditionFailed");
        }
        let size = self.bytes();
        let Some((from, end)) = range(head.header("range"), size) else {
            return refuse(to, "416 Requested Range Not Satisfiable", "InvalidRange");
        };
        let status = if head.header("range").is_some() { "206 Partial Content" } else { "200 OK" };
        let last = end.saturating_sub(1);
        let length = end - from;
        write!(
            to,
            "HTTP/1.1 {status}\r\nETag: {e_tag}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             Accept-Ranges: bytes\r\nContent-Type: text/csv\r\nContent-Range: bytes {from}-{last}/{size}\r\n\
             Content-Length: {length}\r\n\r\n"
        )?;
        if head.method() == "HEAD" {
            return to.flush();
        }
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = from;
        while at < end {
            let length = (end - at).min(PIECE_BYTES as u64) as usize;
            self.rows.fill(at, &mut piece[..length]);
            to.write_all(&piece[..length])?;
            at += length as u64;
            self.read.fetch_add(length as u64, Ordering::Relaxed);
        }
        to.flush()
    }
}

/// The bucket and the key of a request.
fn bucket_and_key(head: &Head) -> (&str, &str) {
    let path = head.path().trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

/// The first byte and the end of what `range` asks for of `size` bytes; `None` where there is none.
fn range(range: Option<&str>, size: u64) -> Option<(u64, u64)> {
    let Some(range) = range else { return Some((0, size)) };
    let (from, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, end) = match (from.parse::<u64>(), last.parse::<u64>()) {
        (Ok(from), Ok(last)) => (from, last.saturating_add(1)),
        (Ok(from), Err(_)) => (from, size),
        (Err(_), Ok(suffix)) => (size.saturating_sub(suffix), size),
        (Err(_), Err(_)) => return None,
    };
    (from < size && from < end).then_some((from, end.min(size)))
}

/// Answers ListObjectsV2 of a bucket of `objects`: sorted keys, their sizes and entity tags.
fn listed(head: &Head, objects: &[(String, u64, String)], to: &mut impl Write) -> io::Result<()> {
    if head.method() == "HEAD" || head.method() == "PUT" {
        return answer(to, "200 OK", "", b"");
    }
    let prefix = head.query("prefix").unwrap_or_default();
    let delimiter = head.query("delimiter").filter(|delimiter| !delimiter.is_empty());
    let after = head.query("start-after").unwrap_or_default();
    let mut contents = String::new();
    let mut folders: Vec<String> = Vec::new();
    for (key, size, e_tag) in objects.iter().filter(|(key, ..)| key.starts_with(&prefix) && *key > after) {
        let rest = &key[prefix.len()..];
        match delimiter.as_ref().and_then(|delimiter| rest.find(delimiter.as_str())) {
            Some(at) => {
                let folder = key[..=prefix.len() + at].to_owned();
                if folders.last() != Some(&folder) {
                    folders.push(folder);
                }
            }
            None => {
                contents += &format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>{e_tag}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                );
            }
        }
    }
    let folders: String = folders
        .iter()
        .map(|folder| format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"))
        .collect();
    let document = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><Prefix>{prefix}</Prefix>{contents}{folders}</ListBucketResult>"
    );
    answer(to, "200 OK", "Content-Type: application/xml\r\n", document.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_object() {
        let check = |text: Option<&str>, expected| assert_eq!(range(text, 100), expected, "{text:?}");
        check(None, Some((0, 100)));
        check(Some("bytes=0-9"), Some((0, 10)));
        check(Some("bytes=90-200"), Some((90, 100)));
        check(Some("bytes=90-"), Some((90, 100)));
        check(Some("bytes=-5"), Some((95, 100)));
        check(Some("bytes=100-"), None);
        check(Some("rows=0-9"), None);
    }
}
