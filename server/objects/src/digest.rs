//! Checksums of bytes as they pass: MD5 for the entity tag, and whichever of S3's five the client wants.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// S3's checksums besides MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// CRC-32 as of zlib.
    Crc32,
    /// CRC-32 of Castagnoli.
    Crc32c,
    /// CRC-64 of NVM Express.
    Crc64nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    /// As S3 writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries it.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// From S3's name of it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// Checksums by algorithm, in Base64; of an object in parts they may be checksums of the parts' checksums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// The values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(Algorithm, String)>,
    /// Whether they are of the parts' checksums.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_composite: bool,
}

impl Checksums {
    /// The one of `algorithm`.
    pub fn get(&self, algorithm: Algorithm) -> Option<&str> {
        self.values.iter().find(|(a, _)| *a == algorithm).map(|(_, value)| value.as_str())
    }

    /// From what a client sent, algorithm by algorithm.
    ///
    /// # Errors
    /// When one is not Base64 of as many bytes as its algorithm has.
    pub fn declared(values: impl IntoIterator<Item = (Algorithm, String)>) -> Result<Self> {
        let values: Vec<_> = values.into_iter().collect();
        for (algorithm, value) in &values {
            let bytes = BASE64_STANDARD.decode(value.split('-').next().unwrap_or_default());
            if !bytes.is_ok_and(|bytes| bytes.len() == algorithm.bytes()) {
                let expected = "Base64 of as many bytes as the algorithm has";
                return Err(Error::Argument { name: algorithm.header(), expected, found: value.clone() });
            }
        }
        Ok(Self { values, is_composite: false })
    }

    /// Holds what the client `declared` against these, which were computed.
    pub(crate) fn verify(&self, declared: &Self) -> Result<()> {
        for (algorithm, expected) in &declared.values {
            let found = self.get(*algorithm).unwrap_or("none");
            if found != expected {
                let name = algorithm.header();
                return Err(Error::Digest { name, expected: expected.clone(), found: found.to_owned() });
            }
        }
        Ok(())
    }
}

/// Sums bytes as they pass.
pub(crate) struct Digester {
    md5: Md5,
    checksums: ChecksumHasher,
}

/// What a [`Digester`] found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests {
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: Checksums,
}

impl Digester {
    pub(crate) fn new(algorithms: &[Algorithm]) -> Self {
        Self { md5: Md5::new(), checksums: hasher(algorithms) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksums.update(bytes);
    }

    pub(crate) fn finish(self) -> Digests {
        Digests { md5: self.md5.finalize().into(), checksums: finished(self.checksums) }
    }
}

/// Checksums alone, without MD5.
pub(crate) struct ChecksumDigester(ChecksumHasher);

impl ChecksumDigester {
    pub(crate) fn new(algorithms: &[Algorithm]) -> Self {
        Self(hasher(algorithms))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Checksums {
        finished(self.0)
    }
}

fn hasher(algorithms: &[Algorithm]) -> ChecksumHasher {
    let wants = |algorithm| algorithms.contains(&algorithm);
    ChecksumHasher {
        crc32: wants(Algorithm::Crc32).then(s3s::crypto::Crc32::new),
        crc32c: wants(Algorithm::Crc32c).then(s3s::crypto::Crc32c::new),
        crc64nvme: wants(Algorithm::Crc64nvme).then(s3s::crypto::Crc64Nvme::new),
        sha1: wants(Algorithm::Sha1).then(s3s::crypto::Sha1::new),
        sha256: wants(Algorithm::Sha256).then(s3s::crypto::Sha256::new),
    }
}

fn finished(hasher: ChecksumHasher) -> Checksums {
    let found = hasher.finalize();
    let values = [
        (Algorithm::Crc32, found.checksum_crc32),
        (Algorithm::Crc32c, found.checksum_crc32c),
        (Algorithm::Crc64nvme, found.checksum_crc64nvme),
        (Algorithm::Sha1, found.checksum_sha1),
        (Algorithm::Sha256, found.checksum_sha256),
    ];
    let values = values.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value?))).collect();
    Checksums { values, is_composite: false }
}

/// The entity tag of an object in parts: MD5 of the parts' MD5s, and how many.
pub(crate) fn composite_etag(parts: &[[u8; 16]]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

/// The checksum of the parts' checksums, and how many; none unless every part has one.
pub(crate) fn composite(algorithm: Algorithm, parts: &[Checksums]) -> Option<String> {
    let mut digester = ChecksumDigester::new(&[algorithm]);
    for part in parts {
        digester.update(&BASE64_STANDARD.decode(part.get(algorithm)?).ok()?);
    }
    let value = digester.finish().get(algorithm)?.to_owned();
    Some(format!("{value}-{}", parts.len()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a hexadecimal MD5 back.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Holds `Content-MD5` against the MD5 that was computed.
pub(crate) fn verify_md5(declared: &str, found: [u8; 16]) -> Result<()> {
    let found = BASE64_STANDARD.encode(found);
    if found == declared {
        return Ok(());
    }
    Err(Error::Digest { name: "Content-MD5", expected: declared.to_owned(), found })
}

/// Whether `declared` is an MD5 in Base64 at all.
pub(crate) fn check_md5(declared: &str) -> Result<()> {
    let is_md5 = BASE64_STANDARD.decode(declared).is_ok_and(|bytes| bytes.len() == 16);
    let expected = "16 bytes in Base64";
    if is_md5 {
        Ok(())
    } else {
        Err(Error::Argument { name: "Content-MD5", expected, found: declared.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        let mut digester = Digester::new(&Algorithm::ALL);
        digester.update(b"12345");
        digester.update(b"6789");
        let digests = digester.finish();
        assert_eq!(hex(&digests.md5), "25f9e794323b453885f5181f1b624d0b");
        let decoded = |algorithm| BASE64_STANDARD.decode(digests.checksums.get(algorithm).unwrap()).unwrap();
        assert_eq!(decoded(Algorithm::Crc32), 0xCBF4_3926_u32.to_be_bytes());
        assert_eq!(decoded(Algorithm::Crc32c), 0xE306_9283_u32.to_be_bytes());
        assert_eq!(decoded(Algorithm::Crc64nvme), 0xAE8B_1486_0A79_9888_u64.to_be_bytes());
        assert_eq!(hex(&decoded(Algorithm::Sha1)), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(decoded(Algorithm::Sha256).len(), 32);
    }

    #[test]
    fn what_was_declared_is_held_against_what_was_found() {
        let mut digester = Digester::new(&[Algorithm::Crc32]);
        digester.update(b"123456789");
        let digests = digester.finish();
        let declared = |value: &str| Checksums::declared([(Algorithm::Crc32, value.to_owned())]);
        assert!(digests.checksums.verify(&declared("y/Q5Jg==").unwrap()).is_ok());
        assert!(matches!(
            digests.checksums.verify(&declared("AAAAAA==").unwrap()),
            Err(Error::Digest { .. })
        ));
        assert!(matches!(declared("AAAA"), Err(Error::Argument { .. })));
        assert!(verify_md5("JfnnlDI7RTiF9RgfG2JNCw==", digests.md5).is_ok());
        assert!(verify_md5("AAAAAAAAAAAAAAAAAAAAAA==", digests.md5).is_err());
        assert!(check_md5("short").is_err());
    }

    #[test]
    fn tags_of_parts_are_the_md5_of_md5s() {
        let part = from_hex("25f9e794323b453885f5181f1b624d0b").unwrap();
        assert_eq!(hex(&part), "25f9e794323b453885f5181f1b624d0b");
        let tag = composite_etag(&[part, part]);
        let mut md5 = Md5::new();
        md5.update([part, part].concat());
        assert_eq!(tag, format!("{}-2", hex(&md5.finalize())));
        assert!(from_hex("zz").is_none());
    }
}
