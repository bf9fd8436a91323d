//! A stretch of an object as a stream of ranges, a few of them ahead.

use std::future::ready;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use object_store::ObjectStore;
use tokio::task::JoinHandle;

use super::attempt::RangeReader;
use super::{ReadError, ReadOptions};
use crate::input::InputObject;
use crate::progress::Progress;

/// The bytes of `span`, in order; it ends after an error.
///
/// Each range is a task of its own, so that it comes in while others are worked on. A range is begun when somebody asks for the
/// one that stands `ranges_ahead` before it, never on its own; dropping the stream ends them.
pub(super) fn read(
    store: &Arc<dyn ObjectStore>,
    object: &InputObject,
    span: Range<u64>,
    options: &ReadOptions,
) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + Unpin + use<> {
    let reader =
        Arc::new(RangeReader { store: store.clone(), object: object.clone(), options: options.clone() });
    let (length, progress) = (options.range_bytes.max(1), options.progress.clone());
    let ranges = stream::unfold(span.start, move |start| {
        let range = start..(start + length).min(span.end);
        ready((start < span.end).then_some((range.clone(), range.end)))
    });
    ranges
        .map(move |range| {
            let reader = reader.clone();
            Ahead(tokio::spawn(async move { reader.read(range).await }))
        })
        .buffered(1 + options.ranges_ahead)
        .scan(false, move |has_failed, piece| {
            let next = (!*has_failed).then_some(piece);
            if let (Some(Ok(piece)), Some(progress)) = (&next, &progress) {
                Progress::add(&progress.bytes_read, piece.len() as u64);
            }
            *has_failed = matches!(next, Some(Err(_)));
            ready(next)
        })
}

/// A range under way, which ends with whoever waits for it.
struct Ahead(JoinHandle<Result<Bytes, ReadError>>);

impl Future for Ahead {
    type Output = Result<Bytes, ReadError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Nobody aborts the task but who drops this; what is left is a panic, which goes on here.
        self.0.poll_unpin(context).map(|joined| match joined {
            Ok(read) => read,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => unreachable!("a range is not aborted while it is awaited: {error}"),
        })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}
