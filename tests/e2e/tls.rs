//! TLS: HTTP/1.1 over it, the choice of HTTP/2 by ALPN, and a certificate replaced while the server runs.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use harness::http::{ANSWER_TIMEOUT, Stream};
use harness::{Client, Request};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{ROW, Served, serve_small};

/// A new self-signed certificate for localhost in `folder`.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let signed =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    // The key first: the server looks at both, and a pair that does not match is refused.
    harness::artifacts::replace(&folder.join("key.pem"), signed.signing_key.serialize_pem().as_bytes());
    harness::artifacts::replace(&folder.join("cert.pem"), signed.cert.pem().as_bytes());
    signed.cert.der().clone()
}

fn serve(folder: &Path, arguments: &[&str]) -> Served {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let tls = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tar.gz");
    std::fs::write(&path, harness::artifacts::xgboost(crate::Forest::SMALL)).unwrap();
    let server = harness::Serve::model(&path).args(&tls).args(arguments).listen();
    Served { server, path, _folder: folder }
}

/// A TLS handshake with `address` that believes `root` alone.
fn handshake(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    protocols: &[&str],
) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A client that believes `root`.
fn connect(served: &Served, root: &CertificateDer<'static>) -> Client {
    let stream = handshake(served.server.address(), root, &["http/1.1"]).unwrap();
    let socket = stream.sock.try_clone().unwrap();
    Client::over(socket).wrapped(|_| -> Box<dyn Stream> { Box::new(stream) })
}

#[test]
fn requests_are_answered_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let root = certify(folder.path());
    let mut served = serve(folder.path(), &[]);
    let mut client = ready(&mut served, &root);
    let plain = serve_small(&[]).server.call(&Request::invoke("text/csv", ROW));
    for _ in 0..3 {
        let answer = client.call(&Request::invoke("text/csv", ROW));
        assert_eq!((answer.status, &answer.body), (200, &plain.body), "{}", answer.text());
    }
}

/// Waits until `/ping` over TLS is 200: a client.
fn ready(served: &mut Served, root: &CertificateDer<'static>) -> Client {
    let mut client = connect(served, root);
    served.server.wait_for("/ping over TLS", |_| client.call(&Request::get("/ping")).status == 200);
    client
}

#[test]
fn http_2_is_chosen_by_alpn() {
    let folder = tempfile::tempdir().unwrap();
    let root = certify(folder.path());
    let served = serve(folder.path(), &[]);
    let chosen = |protocols: &[&str]| {
        let stream = handshake(served.server.address(), &root, protocols).unwrap();
        stream.conn.alpn_protocol().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap())
    };
    assert_eq!(chosen(&["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(chosen(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(chosen(&[]), None);
}

#[test]
fn a_replaced_certificate_is_served_to_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let mut served = serve(folder.path(), &[]);
    let mut old = ready(&mut served, &first);
    let second = certify(folder.path());
    let address = served.server.address();
    served.server.wait_for("the new certificate", |_| handshake(address, &second, &[]).is_ok());
    assert!(handshake(address, &first, &[]).is_err(), "the old one is gone");
    assert_eq!(old.call(&Request::get("/ping")).status, 200, "open connections go on");
    // A broken pair leaves the last good one.
    harness::artifacts::replace(&folder.path().join("cert.pem"), b"not a certificate");
    served.server.wait_for("the complaint", |server| server.log().to_lowercase().contains("certificate"));
    assert!(handshake(address, &second, &[]).is_ok());
}

#[test]
fn plain_http_and_garbage_do_not_hurt_a_tls_server() {
    let folder = tempfile::tempdir().unwrap();
    let root = certify(folder.path());
    let mut served = serve(folder.path(), &["--head-timeout", "1s"]);
    for bytes in [&b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b""] {
        let mut client = served.server.connect();
        client.send(bytes).unwrap();
        client.until_closed();
    }
    ready(&mut served, &root);
}
