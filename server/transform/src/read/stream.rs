//! Streams that are no objects (standard input, say) as pieces, so that the same batcher is fed.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Pieces, ReadError, gunzip};
use crate::settings::Compression;

/// A read from a stream. Reason: a pipe gives 64 KiB at once, a file as much as is asked for; a mebibyte is a piece of an endless
/// payload.
const READ_BYTES: usize = 1 << 20;

/// The bytes of `source`, which errors call `name`, unpacked.
pub fn pieces<S>(source: S, name: &str, compression: Compression) -> Pieces
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let (object, mut byte) = (name.to_owned(), 0);
    let read = source.map(move |piece| match piece {
        Ok(piece) => {
            byte += piece.len() as u64;
            Ok(piece)
        }
        Err(source) => Err(ReadError::Stream { object: object.clone(), byte, source }),
    });
    let read = read.try_filter(|piece| std::future::ready(!piece.is_empty())).boxed();
    match compression {
        Compression::None => read,
        Compression::Gzip => gunzip::unpack(read, name.to_owned(), 0),
    }
}

/// The same of a reader. What is there is given at once: a pause of who writes is no reason to wait for a full piece.
pub fn from_reader<R>(reader: R, name: &str, compression: Compression) -> Pieces
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let reads = stream::unfold(Some((reader, BytesMut::new())), |state| async {
        let (mut reader, mut buffer) = state?;
        buffer.reserve(READ_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(buffer.split().freeze()), Some((reader, buffer)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    pieces(reads, name, compression)
}
