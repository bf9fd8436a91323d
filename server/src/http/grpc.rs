//! gRPC over HTTP/2, as much as one small service needs: calls of one message, answers of one or of many, both under
//! limits. Messages go through as bytes; what they mean is the face's matter.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::mpsc;
use tokio::time::{Interval, interval};
use wire::{AwsError, ErrorCode};

use super::accept::Shared;
use super::answer::AnswerBody;
use super::body;
use super::services::{Request, on_control};
use super::watch::{InFlight, Streaming};
use crate::faces::grpc::{GrpcCode, GrpcError, GrpcReply};
use crate::faces::{aws, keda};
use crate::platform::Platform;

/// The most bytes of a call's message. Reason: it names a resource and its settings.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Before each message: whether it is packed, and its length.
const PREFIX_BYTES: usize = 5;

/// How often an open stream looks whether the server drains. Reason: nothing else would end it.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(500);

const GRPC: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What gRPC's messages of errors are percent-encoded for.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');

/// Answers a call of KEDA's external scaler.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    method: &str,
    request: Request<'_>,
    body: &mut Incoming,
    open: InFlight,
) -> Response<AnswerBody> {
    let content_type = request.fields.base.content_type.value().map(HeaderValue::as_bytes);
    let is_grpc = content_type.is_some_and(|value| value.starts_with(GRPC.as_bytes()));
    if !is_grpc || request.head.version != Version::HTTP_2 {
        let message = "expected gRPC over HTTP/2 (content-type application/grpc), found another request";
        let error = AwsError::new(ErrorCode::ValidationError, message);
        return super::platform::whole(aws::rest_error(&error), request.id);
    }
    match reply(shared, platform, method, body).await {
        Ok(GrpcReply::Message(message)) => {
            let (sender, messages) = mpsc::channel(1);
            sender.try_send(Ok(message)).expect("the channel has room for one");
            streamed(shared, messages, open)
        }
        Ok(GrpcReply::Stream(messages)) => streamed(shared, messages, open),
        Err(error) => {
            let mut response = framed(AnswerBody::full(Bytes::new()));
            response.headers_mut().extend(trailers(Some(&error)));
            response
        }
    }
}

async fn reply(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    method: &str,
    body: &mut Incoming,
) -> Result<GrpcReply, GrpcError> {
    let (body, _share) = body::read(body, shared, PREFIX_BYTES + MESSAGE_BYTES_MAX)
        .await
        .map_err(|error| GrpcError::new(GrpcCode::ResourceExhausted, error.to_string()))?;
    let message = unframe(&body)?;
    let Ok(place) = Arc::clone(&shared.control_places).try_acquire_owned() else {
        return Err(GrpcError::new(GrpcCode::Unavailable, "expected fewer requests at once, found too many"));
    };
    let (of_task, method) = (Arc::clone(platform), method.to_owned());
    let work = on_control(platform, place, async move { keda::answer(&of_task, &method, &message).await });
    match tokio::time::timeout(platform.request_timeout, work).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => Err(GrpcError::new(GrpcCode::Internal, error.message)),
        Err(_) => Err(GrpcError::new(GrpcCode::DeadlineExceeded, "expected an answer in time, found none")),
    }
}

/// The one message of a call.
fn unframe(body: &Bytes) -> Result<Bytes, GrpcError> {
    let refused = |found: &str| {
        GrpcError::new(GrpcCode::InvalidArgument, format!("body: expected one plain message, found {found}"))
    };
    let Some((prefix, _)) = body.split_at_checked(PREFIX_BYTES) else { return Err(refused("less")) };
    if prefix[0] != 0 {
        return Err(GrpcError::new(
            GrpcCode::Unimplemented,
            "body: expected a plain message, found a packed one",
        ));
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    match body.len() - PREFIX_BYTES {
        found if found == length => Ok(body.slice(PREFIX_BYTES..)),
        found if found < length => Err(refused("a part of one")),
        _ => Err(refused("more")),
    }
}

fn frame(message: &[u8]) -> io::Result<Bytes> {
    let length = u32::try_from(message.len()).map_err(|_| io::Error::other("a message of 4 GiB"))?;
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    Ok(framed.freeze())
}

fn trailers(error: Option<&GrpcError>) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    let number = error.map_or(0, |error| error.code.number());
    trailers.insert(STATUS, HeaderValue::from(u16::from(number)));
    if let Some(error) = error {
        let text = utf8_percent_encode(&error.message, UNSAFE).to_string();
        trailers.insert(MESSAGE, HeaderValue::try_from(text).expect("what is encoded is ASCII"));
    }
    trailers
}

fn framed(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

fn streamed(
    shared: &Arc<Shared>,
    messages: mpsc::Receiver<Result<Vec<u8>, GrpcError>>,
    open: InFlight,
) -> Response<AnswerBody> {
    let look = interval(DRAIN_LOOK_INTERVAL);
    let messages = Messages { messages, look, shared: Arc::clone(shared), is_ended: false };
    framed(AnswerBody::stream(messages, Streaming::new(open)))
}

/// Messages as they come, and the status behind them.
#[derive(Debug)]
struct Messages {
    messages: mpsc::Receiver<Result<Vec<u8>, GrpcError>>,
    look: Interval,
    shared: Arc<Shared>,
    is_ended: bool,
}

impl Messages {
    /// The next message, or how it ended.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, GrpcError>>> {
        if let Poll::Ready(message) = self.messages.poll_recv(cx) {
            return Poll::Ready(message);
        }
        loop {
            ready!(self.look.poll_tick(cx));
            if self.shared.is_draining.load(Ordering::Relaxed) {
                let error = GrpcError::new(GrpcCode::Unavailable, "the server is going away");
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl Body for Messages {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let message = ready!(self.poll_message(cx));
        Poll::Ready(Some(match message {
            Some(Ok(message)) => frame(&message).map(Frame::data),
            end => {
                self.is_ended = true;
                Ok(Frame::trailers(trailers(end.and_then(Result::err).as_ref())))
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &'static [u8], expected: Result<&[u8], GrpcCode>) {
        let found = unframe(&Bytes::from_static(body));
        assert_eq!(found.as_deref().map_err(|error| error.code), expected, "{body:?}");
    }

    #[test]
    fn a_call_is_one_plain_message() {
        check(b"\0\0\0\0\0", Ok(b""));
        check(b"\0\0\0\0\x02ab", Ok(b"ab"));
        check(b"", Err(GrpcCode::InvalidArgument));
        check(b"\0\0\0\0", Err(GrpcCode::InvalidArgument));
        check(b"\0\0\0\0\x03ab", Err(GrpcCode::InvalidArgument));
        check(b"\0\0\0\0\x01ab", Err(GrpcCode::InvalidArgument));
        check(b"\0\xff\xff\xff\xffab", Err(GrpcCode::InvalidArgument));
        check(b"\x01\0\0\0\x02ab", Err(GrpcCode::Unimplemented));
    }

    #[test]
    fn a_message_is_framed_as_it_is_read() {
        assert_eq!(unframe(&frame(b"abc").unwrap()).unwrap(), "abc");
    }

    #[test]
    fn a_status_stands_in_the_trailers() {
        let trailers_of_error = trailers(Some(&GrpcError::new(GrpcCode::NotFound, "no \"é\" at 100 %\n")));
        assert_eq!(trailers_of_error["grpc-status"], "5");
        assert_eq!(trailers_of_error["grpc-message"], "no \"%C3%A9\" at 100 %25%0A");
        let fine = trailers(None);
        assert_eq!((fine["grpc-status"].as_bytes(), fine.len()), (&b"0"[..], 1));
    }
}
