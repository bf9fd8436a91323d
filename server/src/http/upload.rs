//! Request bodies that are handed on while they come: under a limit on their pauses, with the framing of signed chunks
//! taken off, and given back when whoever reads them stops early.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use access::{PayloadReader, Refusal};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

/// A body on its way to whoever reads it.
#[derive(Debug)]
pub(super) struct Upload {
    /// `None` once it has been given back.
    source: Option<Incoming>,
    back: Option<oneshot::Sender<Incoming>>,
    /// `None` once all has come.
    reader: Option<PayloadReader>,
    /// Plain pieces that the reader found in one of the source's, last first.
    pieces: Vec<Bytes>,
    refused: Refused,
    pause: Pin<Box<Sleep>>,
    pause_max: Duration,
}

/// Why a body was refused on its way, for whoever answers its request.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<Mutex<Option<Refusal>>>);

impl Refused {
    /// The reason, when there is one.
    pub(super) fn take(&self) -> Option<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, refusal: Refusal) -> io::Error {
        let error = io::Error::other(refusal.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        error
    }
}

/// What is left with whoever answers the request.
#[derive(Debug)]
pub(super) struct Handle {
    /// Why the body was refused.
    pub(super) refused: Refused,
    /// The body itself, if it was not read to its end.
    pub(super) back: oneshot::Receiver<Incoming>,
}

impl Upload {
    /// Hands `source` on through `reader`, which may pause for `pause_max`. On a runtime.
    pub(super) fn new(source: Incoming, reader: PayloadReader, pause_max: Duration) -> (Self, Handle) {
        let (sender, back) = oneshot::channel();
        let refused = Refused::default();
        let upload = Self {
            source: Some(source),
            back: Some(sender),
            reader: Some(reader),
            pieces: Vec::new(),
            refused: refused.clone(),
            pause: Box::pin(sleep(pause_max)),
            pause_max,
        };
        (upload, Handle { refused, back })
    }

    /// Reads on until there is a plain piece, or the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(piece) = self.pieces.pop() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let (Some(source), Some(reader)) = (&mut self.source, &mut self.reader) else {
                return Poll::Ready(None);
            };
            let Poll::Ready(frame) = Pin::new(source).poll_frame(cx) else {
                ready!(self.pause.as_mut().poll(cx));
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            };
            self.pause.as_mut().reset(Instant::now() + self.pause_max);
            match frame {
                Some(Ok(frame)) => {
                    // Trailers of HTTP itself mean nothing here: signed ones come in the chunks.
                    let Ok(data) = frame.into_data() else { continue };
                    if let Err(refusal) = reader.feed(data, &mut self.pieces) {
                        return Poll::Ready(Some(Err(self.refused.set(refusal))));
                    }
                    self.pieces.reverse();
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                None => return Poll::Ready(self.end().transpose()),
            }
        }
    }

    /// All has come: is it what was signed? Its trailers follow.
    fn end(&mut self) -> io::Result<Option<Frame<Bytes>>> {
        let Some(reader) = self.reader.take() else { return Ok(None) };
        let trailers = reader.finish().map_err(|refusal| self.refused.set(refusal))?;
        if trailers.is_empty() {
            return Ok(None);
        }
        let field = |(name, value): (String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        Ok(Some(Frame::trailers(trailers.into_iter().filter_map(field).collect::<HeaderMap>())))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        // A reader that has not finished may still find that the body is not what was signed.
        self.pieces.is_empty() && self.reader.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, &self.reader) {
            (Some(source), Some(reader)) if !reader.is_chunked() && self.pieces.is_empty() => {
                source.size_hint()
            }
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let source = self.source.take().filter(|source| !source.is_end_stream());
        if let (Some(source), Some(back)) = (source, self.back.take()) {
            // Whoever answers the request may have left.
            let _ = back.send(source);
        }
    }
}
