//! The store alone on a port: `cargo run -p objects --example serve -- DIR PORT`. For trying and measuring it without the rest;
//! nobody is asked who they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use objects::{Body, Directory, Domains, S3Wire, WireOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, root, port] = arguments.as_slice() else { return Err("expected DIR PORT".into()) };
    let options = WireOptions {
        account: "000000000000".into(),
        region: "us-east-1".into(),
        domains: Domains::default(),
    };
    let wire = Arc::new(S3Wire::new(Directory::open(Path::new(root))?, options));
    let listener =
        tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?))).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let wire = Arc::clone(&wire);
        tokio::spawn(async move {
            let answer = service_fn(|request: hyper::Request<Incoming>| {
                let wire = Arc::clone(&wire);
                async move { Ok::<_, std::convert::Infallible>(wire.call(request.map(Body::from)).await) }
            });
            // A client that leaves is no news.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
