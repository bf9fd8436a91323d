//! The names in a client's certificate: its common name, and the DNS names and URIs of its alternative names. The handshake
//! has verified the certificate; here it is only read.

use tokio_rustls::rustls::pki_types::CertificateDer;

/// The most names that are looked at. Reason: a certificate of a client has a few; the look-up of each is a hash.
const NAMES_MAX: usize = 64;

/// `id-at-commonName`, 2.5.4.3, as DER writes it.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

/// The names of `certificate`, the common name first.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let alternative = certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned);
    common_name(certificate.subject()).into_iter().chain(alternative).take(NAMES_MAX).collect()
}

/// The common name of a subject: sets of pairs of an identifier and a text.
fn common_name(mut subject: &[u8]) -> Option<String> {
    while !subject.is_empty() {
        let (set, rest) = value(subject)?;
        subject = rest;
        let mut set = set;
        while !set.is_empty() {
            let (pair, rest) = value(set)?;
            set = rest;
            if let Some(text) = pair.strip_prefix(COMMON_NAME) {
                let (text, _) = value(text)?;
                return String::from_utf8(text.to_vec()).ok().filter(|text| !text.is_empty());
            }
        }
    }
    None
}

/// The value that `bytes` begin with, and what follows it.
fn value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[_tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        ..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?), rest.get(2..)?),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn check(common_name: Option<&str>, names: &[&str], expected: &[&str]) {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "A company of a name that is longer than most".repeat(4));
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names.push(SanType::URI("spiffe://example.com/scoring".try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(of(certificate.der()), expected);
    }

    #[test]
    fn all_names_are_found() {
        check(Some("scoring"), &[], &["scoring", "spiffe://example.com/scoring"]);
        check(None, &["a.example.com"], &["a.example.com", "spiffe://example.com/scoring"]);
        let long = "n".repeat(300);
        check(Some(&long), &[], &[&long, "spiffe://example.com/scoring"]);
    }

    #[test]
    fn what_is_no_name_is_none() {
        assert!(of(&CertificateDer::from(vec![1, 2, 3])).is_empty());
        for subject in [&[0x31][..], &[0x31, 0x84, 1, 1, 1, 1], &[0x31, 5, 0], &[0x31, 2, 0x30, 9]] {
            assert_eq!(common_name(subject), None, "{subject:?}");
        }
    }
}
