//! TLS: rustls over aws-lc-rs, h1 and h2 by ALPN, certificates read again when their files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::config::TlsFiles;
use crate::store::{Signature, Source};

/// How often the files are looked at. Reason: certificates are renewed days before they end.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not PEM.
    #[error("{path}: expected PEM, found {source}")]
    Pem {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A file without certificate.
    #[error("{path}: expected a certificate, found none")]
    NoCertificate {
        /// Which.
        path: String,
    },
    /// The key is not the certificate's, or not of a kind that is served.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
    /// Certificates that cannot vouch for clients.
    #[error("certificates of clients: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// The certificates in use.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

impl Certificates {
    /// Reads `files`.
    ///
    /// # Errors
    /// When they are not a certificate and its key.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        install_provider();
        let current = ArcSwap::from(read(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// For one handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again when they change, for ever. What cannot be used is logged, and the old serve on.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.signature().await;
        let mut settled = seen.clone();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = self.signature().await;
            // Two files are not replaced at one moment: wait until they hold still.
            if now == seen && now != settled {
                settled.clone_from(&now);
                self.reload();
            }
            seen = now;
        }
    }

    fn reload(&self) {
        match read(&self.files) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.files.certificate.display(), "certificate read again");
            }
            Err(error) => tracing::error!(%error, "the new certificate is refused, the old one serves"),
        }
    }

    async fn signature(&self) -> [Option<Signature>; 3] {
        let of = async |path: &Path| Source::Path(path.to_owned()).signature().await.ok();
        let client_ca = match &self.files.client_ca {
            Some(path) => of(path).await,
            None => None,
        };
        [of(&self.files.certificate).await, of(&self.files.key).await, client_ca]
    }
}

/// One provider for the whole program: two would make rustls panic where it has to choose.
fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been first, with the same.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let in_file = |path: &Path, source| TlsError::Pem { path: path.display().to_string(), source };
    let path = &files.certificate;
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| in_file(path, source))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.display().to_string() });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| in_file(&files.key, source))?;
    let builder = match &files.client_ca {
        Some(path) => ServerConfig::builder().with_client_cert_verifier(client_verifier(path)?),
        None => ServerConfig::builder().with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What verifies the certificates of clients. A client without one goes on: there are other ways to say who one is.
fn client_verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let in_file = |source| TlsError::Pem { path: path.display().to_string(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(in_file)? {
        roots.add(certificate.map_err(in_file)?)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate { path: path.display().to_string() });
    }
    Ok(WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tls.pem");
        let files = TlsFiles { certificate: file.clone(), key: file.clone(), client_ca: None };
        let error = Certificates::load(files.clone()).expect_err("it is absent");
        assert!(error.to_string().contains("tls.pem"), "{error}");
        std::fs::write(&file, "no certificate").unwrap();
        let error = Certificates::load(files).expect_err("it is empty");
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
    }
}
