//! HTTP: sockets, TLS, connections, bodies, routes. hyper lives only here; what a request means is the faces' matter.

mod accept;
mod body;
mod connection;
mod fields;
mod io;
mod request_id;
mod route;
mod service;
mod tls;
mod watch;

pub use accept::{Acceptor, Listener};
pub use tls::{Certificates, TlsError};
