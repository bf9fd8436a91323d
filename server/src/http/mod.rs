//! HTTP: sockets, TLS, connections, bodies, routes. hyper lives only here; what a request means is the faces' matter.

mod accept;
mod answer;
mod body;
mod connection;
mod dispatch;
mod fields;
mod grpc;
mod invoke;
mod io;
mod platform;
mod request_id;
mod route;
mod runtime_fields;
mod service;
mod services;
mod tls;
mod watch;

pub use accept::{Acceptor, Listener};
pub use tls::{Certificates, TlsError};
