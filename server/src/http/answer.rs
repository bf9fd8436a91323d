//! Bodies of answers: whole ones, which cost the path of an invocation nothing, and streamed ones with their trailers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::watch::Streaming;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// All of it is here; `None` when it is empty or sent.
    Full(Option<Bytes>),
    /// It comes piece by piece.
    Stream(Box<Streamed>),
}

impl AnswerBody {
    /// A whole body.
    pub(super) fn full(bytes: Bytes) -> Self {
        Self::Full((!bytes.is_empty()).then_some(bytes))
    }

    /// The pieces of `source`, which has the length that it hints at.
    pub(super) fn stream(
        source: impl Body<Data = Bytes, Error = io::Error> + Send + 'static,
        streaming: Streaming,
    ) -> Self {
        Self::Stream(Box::new(Streamed { source: Box::pin(source), streaming }))
    }
}

/// A body that comes piece by piece, and its place in the watch of its connection.
pub(super) struct Streamed {
    source: Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>,
    streaming: Streaming,
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed").field("streaming", &self.streaming).finish_non_exhaustive()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(streamed) => {
                // Asked for more: what was given before is on its way.
                streamed.streaming.wait_for_server();
                let frame = streamed.source.as_mut().poll_frame(cx);
                if let Poll::Ready(Some(Ok(_))) = &frame {
                    streamed.streaming.wait_for_client();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(streamed) => streamed.source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(streamed) => streamed.source.size_hint(),
        }
    }
}
