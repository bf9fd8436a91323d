//! A certificate of our own making: for TLS where nobody has given one. It is made once and kept, so that clients which have
//! taken it into their trust go on to trust it.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair};

use crate::config::TlsFiles;

/// The files in the data directory.
const CERTIFICATE: &str = "tls-certificate.pem";
const KEY: &str = "tls-key.pem";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfSignedError {
    /// It cannot be kept.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be made.
    #[error("certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// The certificate and key in `folder`, made at the first call: for `localhost`, the loopback addresses and `address`.
///
/// # Errors
/// When they can be neither found nor made.
pub fn self_signed(folder: &Path, address: IpAddr) -> Result<TlsFiles, SelfSignedError> {
    let files = TlsFiles { certificate: folder.join(CERTIFICATE), key: folder.join(KEY), client_ca: None };
    if files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_unspecified() && !address.is_loopback() {
        names.push(address.to_string());
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Clary");
    let certificate = params.self_signed(&key)?;
    // The key first: a certificate without key would be taken for a pair that somebody broke.
    write(&files.key, &key.serialize_pem(), true)?;
    write(&files.certificate, &certificate.pem(), false)?;
    tracing::info!(
        certificate = %files.certificate.display(),
        "made a certificate; clients need it in their trust (AWS_CA_BUNDLE)"
    );
    Ok(files)
}

fn write(path: &Path, text: &str, is_secret: bool) -> Result<(), SelfSignedError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if is_secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| SelfSignedError::Io { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http::Certificates;

    #[test]
    fn a_certificate_is_made_once_and_serves() {
        let folder = tempfile::tempdir().unwrap();
        let files = self_signed(folder.path(), Ipv4Addr::new(10, 0, 0, 7).into()).unwrap();
        Certificates::load(files.clone()).unwrap();
        let made = fs::read(&files.certificate).unwrap();
        self_signed(folder.path(), Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_eq!(fs::read(&files.certificate).unwrap(), made, "kept");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let absent = folder.path().join("absent");
        let error = self_signed(&absent, Ipv4Addr::LOCALHOST.into()).unwrap_err();
        assert!(error.to_string().contains("tls-key.pem"), "{error}");
    }
}
