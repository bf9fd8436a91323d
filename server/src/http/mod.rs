//! HTTP: sockets, TLS, connections, bodies, routes. hyper lives only here; what a request means is the faces' matter.

mod accept;
mod access;
mod answer;
mod body;
mod client_names;
mod connection;
mod dispatch;
mod fields;
mod grpc;
mod invoke;
mod io;
mod objects;
mod platform;
mod request_id;
mod route;
mod runtime_fields;
mod s3_action;
mod self_signed;
mod service;
mod services;
mod tls;
mod upload;
mod watch;

pub use accept::{Acceptor, Listener};
pub use self_signed::{SelfSignedError, self_signed};
pub use tls::{Certificates, TlsError};
