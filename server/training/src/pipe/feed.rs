//! The bytes of an epoch: items in the epoch's order, unpacked and framed as the channel asks.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::TryStreamExt as _;

use super::sink::{Halt, Sink};
use crate::channel::Channel;
use crate::failure::Failure;
use crate::input::{Entry, Items, Object, Part, order};

/// How every RecordIO record begins.
const RECORD_MAGIC: u32 = 0xced7_230a;

/// Bytes of a record. Reason: its length has 29 bits.
const RECORD_BYTES_MAX: u64 = (1 << 29) - 1;

/// Bytes that are unpacked at once. Reason: gzip unpacks a byte to at most 1,032, so that this holds 16 MiB at most.
const GZIP_STEP_BYTES: usize = 16 << 10;

/// Who is told that rows may be glued together.
type Warn = Arc<dyn Fn(&str) + Send + Sync>;

/// What a channel's FIFOs get on one host.
pub(crate) struct Feed {
    channel: Channel,
    items: Arc<Items>,
    number: usize,
    hosts: usize,
    /// Whether an object that does not end its last line gets a line end.
    ends_lines: bool,
    warn: Option<Warn>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("channel", &self.channel.name)
            .field("host", &self.number)
            .finish_non_exhaustive()
    }
}

impl Feed {
    /// Of host `number` of `hosts`. `warn` is told once that an object ends within a line, where records are lines.
    pub(crate) fn new(
        channel: &Channel,
        items: Arc<Items>,
        (number, hosts): (usize, usize),
        ends_lines: bool,
        warn: Warn,
    ) -> Self {
        let are_lines =
            matches!(&channel.content_type, Some(kind) if is_of_lines(kind)) && !channel.record_wrapper;
        Self {
            channel: channel.clone(),
            items,
            number,
            hosts,
            ends_lines: ends_lines && are_lines,
            warn: are_lines.then_some(warn),
        }
    }

    /// The channel's name.
    pub(crate) fn name(&self) -> &str {
        &self.channel.name
    }

    /// Writes an epoch.
    pub(super) async fn write(&mut self, sink: &mut Sink, epoch: u64) -> Result<(), Halt> {
        for index in order(&self.channel, self.items.len(), self.number, self.hosts, epoch) {
            match &*Arc::clone(&self.items) {
                Items::Objects(objects) => self.object(sink, &objects[index]).await?,
                Items::Entries(entries) => self.entry(sink, &entries[index]).await?,
            }
        }
        Ok(())
    }

    async fn entry(&mut self, sink: &mut Sink, entry: &Entry) -> Result<(), Halt> {
        for part in &entry.parts {
            match part {
                Part::Object(object) => self.object(sink, object).await?,
                Part::Text(text) if self.channel.record_wrapper => {
                    sink.write(&head(text.len() as u64).map_err(Failure::Client)?).await?;
                    sink.write(text).await?;
                    sink.write(padding(text.len() as u64)).await?;
                }
                Part::Text(text) => sink.write(text).await?,
            }
        }
        Ok(())
    }

    async fn object(&mut self, sink: &mut Sink, object: &Object) -> Result<(), Halt> {
        if self.channel.record_wrapper {
            let bytes = self.bytes_of(object).await?;
            sink.write(&head(bytes).map_err(|reason| object.failed(&reason))?).await?;
            let written = self.pieces(object, Some(sink)).await?;
            if written != bytes {
                return Err(object.failed(&format!("expected {bytes} bytes, found {written}")).into());
            }
            return sink.write(padding(bytes)).await;
        }
        self.pieces(object, Some(sink)).await?;
        if sink.is_within_line() {
            if let Some(warn) = self.warn.take() {
                warn(&format!(
                    "{} does not end with a line end: its last row is glued to what follows",
                    object.place
                ));
            }
            if self.ends_lines {
                sink.write(b"\n").await?;
            }
        }
        Ok(())
    }

    /// How many bytes an object is, unpacked: a record says so before its first. A packed one is read twice, since it may be
    /// larger than memory.
    async fn bytes_of(&self, object: &Object) -> Result<u64, Halt> {
        if self.channel.gzip {
            return self.pieces(object, None).await;
        }
        Ok(object.get().await.map_err(|error| object.failed(&error))?.meta.size)
    }

    /// Writes an object's bytes, if there is a sink, and counts them.
    async fn pieces(&self, object: &Object, mut sink: Option<&mut Sink>) -> Result<u64, Halt> {
        let answer = object.get().await.map_err(|error| object.failed(&error))?;
        let (size, mut stream) = (answer.meta.size, answer.into_stream());
        let mut unpacker = self.channel.gzip.then(|| MultiGzDecoder::new(Vec::new()));
        let (mut read, mut count) = (0, 0);
        while let Some(piece) = stream.try_next().await.map_err(|error| object.failed(&error))? {
            read += piece.len() as u64;
            let step = if unpacker.is_some() { GZIP_STEP_BYTES } else { piece.len().max(1) };
            for part in piece.chunks(step) {
                let bytes = match &mut unpacker {
                    None => piece.slice_ref(part),
                    Some(unpacker) => unpack(unpacker, part).map_err(|error| object.failed(&error))?,
                };
                count += bytes.len() as u64;
                if let Some(sink) = &mut sink {
                    sink.write(&bytes).await?;
                }
            }
        }
        if read != size {
            return Err(object.failed(&format!("expected {size} bytes, found {read}")).into());
        }
        if let Some(unpacker) = &mut unpacker {
            unpacker
                .try_finish()
                .map_err(|error| object.failed(&format!("expected whole gzip, found {error}")))?;
            let rest = Bytes::from(std::mem::take(unpacker.get_mut()));
            count += rest.len() as u64;
            if let Some(sink) = &mut sink {
                sink.write(&rest).await?;
            }
        }
        Ok(count)
    }
}

fn unpack(unpacker: &mut MultiGzDecoder<Vec<u8>>, part: &[u8]) -> std::io::Result<Bytes> {
    unpacker.write_all(part)?;
    unpacker.flush()?;
    Ok(Bytes::from(std::mem::take(unpacker.get_mut())))
}

/// Whether records of a media type are lines.
fn is_of_lines(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["csv", "libsvm", "jsonlines", "x-libsvm"].contains(&kind.rsplit('/').next().unwrap_or_default())
}

/// The head of a record of so many bytes.
fn head(bytes: u64) -> Result<[u8; 8], String> {
    if bytes > RECORD_BYTES_MAX {
        return Err(format!(
            "expected at most {RECORD_BYTES_MAX} bytes for a RecordIO record, found {bytes}"
        ));
    }
    let mut head = [0; 8];
    head[..4].copy_from_slice(&RECORD_MAGIC.to_le_bytes());
    head[4..].copy_from_slice(&u32::try_from(bytes).expect("it has 29 bits").to_le_bytes());
    Ok(head)
}

/// What fills a record up to a multiple of four bytes.
fn padding(bytes: u64) -> &'static [u8] {
    &[0; 3][..(4 - bytes as usize % 4) % 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_framed() {
        assert_eq!(head(5).unwrap(), [0x0a, 0x23, 0xd7, 0xce, 5, 0, 0, 0]);
        assert!(head(RECORD_BYTES_MAX).is_ok() && head(1 << 29).is_err());
        for (bytes, expected) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)] {
            assert_eq!(padding(bytes).len(), expected);
        }
    }

    #[test]
    fn media_types_of_lines() {
        for kind in ["text/csv", "text/csv; label_size=1", "csv", "text/libsvm", "application/jsonlines"] {
            assert!(is_of_lines(kind), "{kind}");
        }
        for kind in ["application/x-recordio-protobuf", "", "image/png"] {
            assert!(!is_of_lines(kind), "{kind}");
        }
    }
}
