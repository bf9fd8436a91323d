//! TLS for https targets: which certificates are believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use crate::connection::Tls;

/// Where systems keep the certificates they believe (Debian, Fedora, Alpine and the BSDs).
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// TLS to `host`, believing the certificates of `bundle` or else the system's.
///
/// # Errors
/// When there is no bundle, it holds no certificate, or the host is not a name.
pub(crate) fn connect_to(host: &str, bundle: Option<&Path>) -> anyhow::Result<Tls> {
    let bundle = match bundle {
        Some(bundle) => bundle.to_owned(),
        None => {
            let found = SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
            found.context("no system certificates found: name a PEM file with --ca-cert")?
        }
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&bundle).with_context(|| bundle.display().to_string())? {
        let certificate = certificate.with_context(|| bundle.display().to_string())?;
        // One odd certificate among a system's hundreds is passed over; a bundle of none is an error.
        let _ = roots.add(certificate);
    }
    ensure!(!roots.is_empty(), "{}: expected certificates in PEM, found none", bundle.display());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host} is not a host name"))?;
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
}
