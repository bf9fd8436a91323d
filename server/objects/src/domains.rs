//! Names of this host: `bucket.name` in `Host` names a bucket, as `/bucket` in the path does.

use crate::error::{Error, Result};

/// A name that this machine has anyway. Clients that address buckets by host do so below it too.
const LOCALHOST: &str = "localhost";

/// The longest name. Reason: that of the domain name system.
const NAME_BYTES_MAX: usize = 253;

/// The longest part of a name between dots. Reason: that of the domain name system.
const LABEL_BYTES_MAX: usize = 63;

/// Names of this host below which hosts are buckets. `localhost` is always one.
#[derive(Debug, Clone)]
pub struct Domains(Vec<String>);

impl Default for Domains {
    fn default() -> Self {
        Self(vec![LOCALHOST.to_owned()])
    }
}

impl Domains {
    /// `localhost` and `name`, which has no port: a bucket is the same on each.
    ///
    /// # Errors
    /// When it is no name of a host.
    pub fn with(name: Option<&str>) -> Result<Self> {
        let mut domains = Self::default();
        if let Some(name) = name {
            if !is_name(name) {
                let expected = "a name of this host, such as s3.example.com, without a port";
                return Err(Error::Argument { name: "domain", expected, found: name.to_owned() });
            }
            domains.0.push(name.to_owned());
        }
        Ok(domains)
    }

    /// The bucket that `host`, as a `Host` header has it, names.
    pub fn bucket<'h>(&self, host: &'h str) -> Option<&'h str> {
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let host = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(host, _)| host);
        self.0.iter().find_map(|domain| {
            let (bucket, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
            let bucket = bucket.strip_suffix('.').filter(|bucket| !bucket.is_empty())?;
            rest.eq_ignore_ascii_case(domain).then_some(bucket)
        })
    }
}

/// Whether `name` can be a host's, and is no address.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_plain)
    };
    let has_letter = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    has_letter && name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_below_a_name_are_buckets() {
        let domains = Domains::with(Some("S3.example.com")).unwrap();
        let check = |host: &str, expected: Option<&str>| assert_eq!(domains.bucket(host), expected, "{host}");
        check("b.s3.example.com", Some("b"));
        check("b.S3.Example.com:8080", Some("b"));
        check("a.b.s3.example.com", Some("a.b"));
        check("b.localhost", Some("b"));
        check("b.localhost:8080", Some("b"));
        check("s3.example.com", None);
        check(".s3.example.com", None);
        check("xs3.example.com", None);
        check("b.s3.example.com.evil", None);
        check("b.example.com", None);
        check("localhost:80", None);
        check("127.0.0.1:80", None);
        check("[::1]:80", None);
        check("[::1]", None);
        check("", None);
        check("\u{1f980}calhost", None);
        assert_eq!(Domains::default().bucket("b.s3.example.com"), None);
    }

    #[test]
    fn a_domain_is_a_name() {
        for name in ["s3.example.com", "box", "a-1.b"] {
            assert!(Domains::with(Some(name)).is_ok(), "{name}");
        }
        let long = format!("{}.com", "a".repeat(64));
        for name in ["", "127.0.0.1", "a:80", "a..b", ".a", "a_b", "http://a", &long, &"a.".repeat(200)] {
            let error = Domains::with(Some(name)).unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains("found"), "{error}");
        }
    }
}
