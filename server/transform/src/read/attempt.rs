//! One range of an object, in as many attempts as it takes: each goes on where the last one broke.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore};
use tokio::time::Instant;

use super::{BACKOFF_MAX, ReadError, ReadOptions};
use crate::input::InputObject;
use crate::upload::retry;

/// The longest pause between two pieces of an answer. Reason: the store's client gives a whole request as long.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long attempts that bring nothing go on. Reason: each may be many requests, since the store's client tries again too, for
/// three minutes; a store that is out for longer is told of.
const PATIENCE: Duration = Duration::from_secs(300);

/// What an attempt must bring for those before it to be forgotten. Reason: a connection that is cut again and again still gets a
/// range across, in at most 128 times as many attempts.
const PROGRESS_BYTES: u64 = 64 << 10;

/// Reads ranges of one version of an object.
#[derive(Debug)]
pub(super) struct RangeReader {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) object: InputObject,
    pub(super) options: ReadOptions,
}

/// Why an attempt came to nothing.
enum Failure {
    /// Another attempt would be no better.
    Final(ReadError),
    /// The store, or the way to it, may recover.
    Passing(object_store::Error),
    /// The answer ended too early.
    Short,
}

impl RangeReader {
    /// The bytes of `range`, all of them.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        let mut collected = Collected { range, bytes: BytesMut::new(), whole: None };
        let mut patience = Patience::new(&self.options);
        loop {
            let before = collected.missing().start;
            let failure = match self.attempt(&mut collected).await {
                Ok(()) => return Ok(collected.into_bytes()),
                Err(failure) => failure,
            };
            patience.count(collected.missing().start - before);
            if patience.is_over() || matches!(failure, Failure::Final(_)) {
                return Err(self.give_up(failure, &collected, patience.attempts));
            }
            tokio::time::sleep(patience.pause()).await;
        }
    }

    async fn attempt(&self, collected: &mut Collected) -> Result<(), Failure> {
        let wanted = collected.missing();
        let options = self.get_options(wanted.clone());
        let get = self.store.get_opts(&self.object.path, options);
        let result = in_time(get).await?.map_err(|error| self.failure(error, wanted.start))?;
        self.check_version(&result.meta, wanted.start)?;
        if result.range.start != wanted.start || result.range.end > wanted.end {
            return Err(Failure::Final(self.overlong(&wanted)));
        }
        self.collect(result, collected).await?;
        if collected.missing().is_empty() { Ok(()) } else { Err(Failure::Short) }
    }

    /// Takes what the answer has; what came before it broke is kept.
    async fn collect(&self, result: GetResult, collected: &mut Collected) -> Result<(), Failure> {
        let at = collected.missing().start;
        let mut stream = match result.payload {
            GetResultPayload::File(file, _) => {
                let read = read_file(file, result.range).await;
                let bytes = read.map_err(|source| {
                    let source = Box::new(source);
                    self.failure(object_store::Error::Generic { store: "file", source }, at)
                })?;
                return collected.push(bytes).map_err(|range| Failure::Final(self.overlong(&range)));
            }
            GetResultPayload::Stream(stream) => stream,
        };
        while let Some(piece) = in_time(stream.next()).await? {
            let missing = collected.missing();
            let piece = match piece {
                Ok(piece) => piece,
                // It broke behind its last byte.
                Err(_) if missing.is_empty() => break,
                Err(error) => return Err(self.failure(error, missing.start)),
            };
            collected.push(piece).map_err(|range| Failure::Final(self.overlong(&range)))?;
        }
        Ok(())
    }

    fn get_options(&self, range: Range<u64>) -> GetOptions {
        let object = &self.object;
        GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: object.e_tag.clone().filter(|e_tag| !is_weak(e_tag)),
            if_unmodified_since: match object.e_tag {
                Some(_) => None,
                None => object.modified.map(|modified| ceiling(modified).into()),
            },
            ..GetOptions::default()
        }
    }

    /// Holds an answer to the listed version, also that of a store which passes over conditions.
    fn check_version(&self, meta: &ObjectMeta, byte: u64) -> Result<(), Failure> {
        let found = match (&self.object.e_tag, &meta.e_tag) {
            (Some(listed), Some(found)) if listed != found => {
                format!("ETag {found} where {listed} was listed")
            }
            _ if meta.size != self.object.size => {
                format!("{} bytes where {} were listed", meta.size, self.object.size)
            }
            _ => return Ok(()),
        };
        Err(Failure::Final(ReadError::Changed { object: self.object.path.to_string(), byte, found }))
    }

    fn failure(&self, error: object_store::Error, byte: u64) -> Failure {
        use object_store::Error as E;
        let object = self.object.path.to_string();
        match error {
            E::Precondition { .. } => {
                let found = match &self.object.e_tag {
                    Some(listed) => format!("its ETag is not {listed} any more"),
                    None => "it has been written since".to_owned(),
                };
                Failure::Final(ReadError::Changed { object, byte, found })
            }
            E::NotFound { .. } => Failure::Final(ReadError::Missing { object }),
            source if retry::is_final(&source) => {
                Failure::Final(ReadError::Store { object, byte, attempts: 1, source })
            }
            source => Failure::Passing(source),
        }
    }

    fn overlong(&self, range: &Range<u64>) -> ReadError {
        ReadError::Overlong { object: self.object.path.to_string(), byte: range.start, end: range.end }
    }

    fn give_up(&self, failure: Failure, collected: &Collected, attempts: u32) -> ReadError {
        let (object, missing) = (self.object.path.to_string(), collected.missing());
        match failure {
            Failure::Final(error) => error,
            Failure::Passing(source) => ReadError::Store { object, byte: missing.start, attempts, source },
            Failure::Short => {
                ReadError::Truncated { object, byte: missing.start, end: missing.end, attempts }
            }
        }
    }
}

/// How long a range is tried for.
struct Patience<'a> {
    options: &'a ReadOptions,
    /// All attempts.
    attempts: u32,
    /// Those since the last that brought something, and when that was.
    fruitless: u32,
    since: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    fn new(options: &'a ReadOptions) -> Self {
        let (since, pause) = (Instant::now(), options.backoff_first);
        Self { options, attempts: 0, fruitless: 0, since, pause }
    }

    /// Counts an attempt that brought so many bytes.
    fn count(&mut self, bytes: u64) {
        self.attempts += 1;
        self.fruitless += 1;
        if bytes >= PROGRESS_BYTES {
            (self.fruitless, self.since, self.pause) = (0, Instant::now(), self.options.backoff_first);
        }
    }

    fn is_over(&self) -> bool {
        self.fruitless >= self.options.attempts_max || self.since.elapsed() > PATIENCE
    }

    /// How long to wait before the next attempt: anything between the first pause and three times the last, so that readers that
    /// failed together do not come back together.
    fn pause(&mut self) -> Duration {
        let pause = self.pause;
        let (low, high) = (self.options.backoff_first.as_micros() as u64, 3 * pause.as_micros() as u64);
        self.pause = Duration::from_micros(fastrand::u64(low..=high.max(low))).min(BACKOFF_MAX);
        pause
    }
}

/// What has come of a range. One piece that is all of it stays where it is.
struct Collected {
    range: Range<u64>,
    bytes: BytesMut,
    whole: Option<Bytes>,
}

impl Collected {
    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn missing(&self) -> Range<u64> {
        let found = self.whole.as_ref().map_or(self.bytes.len(), Bytes::len);
        self.range.start + found as u64..self.range.end
    }

    /// Adds a piece; the range that it should have stayed in, when it goes beyond.
    fn push(&mut self, piece: Bytes) -> Result<(), Range<u64>> {
        let missing = self.missing();
        if piece.len() as u64 > missing.end - missing.start {
            return Err(self.range.clone());
        }
        if piece.len() as u64 == self.length() {
            self.whole = Some(piece);
            return Ok(());
        }
        if self.bytes.is_empty() {
            self.bytes.reserve(usize::try_from(self.length()).expect("a range fits memory"));
        }
        self.bytes.extend_from_slice(&piece);
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        self.whole.unwrap_or_else(|| self.bytes.freeze())
    }
}

/// The bytes of `range` of a file, or as many as there are: in one read, where `object_store` has small ones, or clears the memory
/// first.
async fn read_file(mut file: File, range: Range<u64>) -> io::Result<Bytes> {
    let read = tokio::task::spawn_blocking(move || {
        let length = range.end - range.start;
        let mut bytes = Vec::with_capacity(usize::try_from(length).expect("a range fits memory"));
        file.seek(SeekFrom::Start(range.start))?;
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    });
    read.await?
}

/// The output of `future`, unless it takes longer than a store may be silent.
async fn in_time<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(IDLE_MAX, future).await.map_err(|_| {
        let source = format!("expected bytes within {} s, found none", IDLE_MAX.as_secs()).into();
        Failure::Passing(object_store::Error::Generic { store: "read", source })
    })
}

/// A weak ETag never satisfies `If-Match`; it is compared with that of the answer alone.
fn is_weak(e_tag: &str) -> bool {
    e_tag.starts_with("W/")
}

/// The next whole second: HTTP dates know no smaller unit, so that a condition on the time itself would never hold.
fn ceiling(time: std::time::SystemTime) -> std::time::SystemTime {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    std::time::UNIX_EPOCH + Duration::from_secs(since.as_secs() + u64::from(since.subsec_nanos() > 0))
}
