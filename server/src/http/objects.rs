//! S3 over HTTP: bodies stream both ways between a connection's thread and the control runtime, where the store works.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use access::Protocol;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderValue};
use hyper::http::response;
use hyper::{Method, Response, Version};
use objects::S3Wire;
use tokio::sync::{mpsc, oneshot};
use wire::{AwsError, ErrorCode};

use super::accept::Shared;
use super::access::Door;
use super::answer::AnswerBody;
use super::dispatch::Target;
use super::platform::whole;
use super::services::Request;
use super::upload::{Handle, Upload};
use super::watch::{InFlight, Streaming};
use crate::faces::aws;
use crate::platform::Platform;

/// Pieces of an answer that may wait for the connection. Reason: one is being sent while the next is read.
const PIECES_MAX: usize = 2;

/// What the store answered, as far as it is known.
struct Answered {
    head: response::Parts,
    body: Pieces,
}

/// An answer's body.
enum Pieces {
    /// All of it.
    Whole(Bytes),
    /// As it is read.
    Stream(Channel),
}

/// Answers a request to S3; gives back what was not read of its body.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    platform: &Arc<Platform>,
    request: Request<'_>,
    body: Incoming,
    open: InFlight,
) -> (Response<AnswerBody>, Option<Incoming>) {
    let refuse = |error: &AwsError| {
        let is_head = request.head.method == Method::HEAD;
        let (resource, id) = (request.head.uri.path(), request.id.to_string());
        whole(aws::s3_error(error, resource, &id, is_head), request.id)
    };
    let Some(store) = &platform.s3 else {
        let endpoint = platform.buckets.elsewhere().unwrap_or("another address");
        let message = format!("the buckets of this server are in the store at {endpoint}: ask that one");
        return (refuse(&AwsError::new(ErrorCode::NotImplemented, message)), Some(body));
    };
    let Ok(place) = Arc::clone(&shared.object_places).try_acquire_owned() else {
        let message = "expected fewer requests to S3 at once, found too many";
        return (refuse(&AwsError::new(ErrorCode::SlowDown, message)), Some(body));
    };
    let proved = Door::begin(platform, request.head, &open, Target::S3);
    let reader = match proved.and_then(|door| door.finish_s3(request.head, &platform.domains)) {
        Ok(reader) => reader,
        Err(error) => return (refuse(&error), Some(body)),
    };
    let (upload, Handle { refused, mut back }) = Upload::new(body, reader, shared.limits.body_timeout);
    let (sender, answered) = oneshot::channel();
    let (store, request_of_store) = (Arc::clone(store), to_store(request, upload));
    platform.runtime.spawn(async move {
        serve(&store, request_of_store, sender).await;
        drop(place);
    });
    let response = match answered.await {
        Ok(answered) => match refused.take() {
            Some(refusal) => refuse(&refusal.to_error(Protocol::S3)),
            None => respond(answered, open),
        },
        // It panicked: the log has it.
        Err(_) => {
            refuse(&AwsError::new(ErrorCode::InternalError, "the server failed; its log has the reason"))
        }
    };
    (response, back.try_recv().ok())
}

/// The request, as the store takes it.
fn to_store(request: Request<'_>, upload: Upload) -> hyper::Request<objects::Body> {
    let head = request.head;
    let mut of_store = hyper::Request::new(objects::Body::http_body_unsync(upload));
    of_store.method_mut().clone_from(&head.method);
    of_store.uri_mut().clone_from(&head.uri);
    of_store.headers_mut().clone_from(&head.headers);
    if head.version == Version::HTTP_2 && !head.headers.contains_key(HOST) {
        let authority =
            head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        if let Some(host) = authority {
            of_store.headers_mut().insert(HOST, host);
        }
    }
    of_store
}

/// Asks the store, tells its answer's head, and passes its body on. A small body is told with its head.
async fn serve(store: &S3Wire, request: hyper::Request<objects::Body>, sender: oneshot::Sender<Answered>) {
    let (head, mut body) = store.call(request).await.into_parts();
    let hint = body.size_hint();
    let first = body.frame().await;
    let is_whole = |first: &Bytes| body.is_end_stream() || hint.exact() == Some(first.len() as u64);
    let pieces = match first {
        None => Pieces::Whole(Bytes::new()),
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) if is_whole(&data) => Pieces::Whole(data),
            Ok(data) => return pump(head, data, body, hint, sender).await,
            Err(_) => Pieces::Whole(Bytes::new()),
        },
        Some(Err(error)) => {
            // The head would promise what does not come: dropped, it is answered as a fault.
            tracing::error!(%error, "an object could not be read");
            return;
        }
    };
    // The client may have left.
    let _ = sender.send(Answered { head, body: pieces });
}

async fn pump(
    head: response::Parts,
    first: Bytes,
    mut body: objects::Body,
    hint: SizeHint,
    sender: oneshot::Sender<Answered>,
) {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    pieces.try_send(Ok(first)).expect("the channel has room for one");
    let body_of_answer = Pieces::Stream(Channel { receiver, hint });
    if sender.send(Answered { head, body: body_of_answer }).is_err() {
        return;
    }
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Err(error) => {
                tracing::error!(%error, "an object could not be read to its end");
                Err(io::Error::other(error))
            }
        };
        let is_last = piece.is_err();
        // The client may have left.
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

fn respond(answered: Answered, open: InFlight) -> Response<AnswerBody> {
    let body = match answered.body {
        Pieces::Whole(bytes) => AnswerBody::full(bytes),
        Pieces::Stream(channel) => AnswerBody::stream(channel, Streaming::new(open)),
    };
    Response::from_parts(answered.head, body)
}

/// The receiving end of a streamed body.
#[derive(Debug)]
struct Channel {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    hint: SizeHint,
}

impl Body for Channel {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.receiver.poll_recv(cx).map_ok(Frame::data)
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
