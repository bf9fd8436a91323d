//! SHA-256, HMAC and hexadecimal: the primitives of signatures, over aws-lc.

use aws_lc_rs::{constant_time, digest, hmac};

/// A SHA-256 digest, or an HMAC of it.
pub type Digest = [u8; 32];

/// The SHA-256 of nothing, in hexadecimal.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A hash of bytes that come in pieces.
pub struct Hasher(digest::Context);

impl Hasher {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all.
    pub fn finish(self) -> Digest {
        self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// HMAC-SHA256 by a ready key.
pub fn hmac(key: &hmac::Key, message: &[u8]) -> Digest {
    hmac::sign(key, message).as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
}

/// The HMAC-SHA256 key of these bytes.
pub fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

/// HMAC-SHA1, as Signature Version 2 has it.
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    hmac::sign(&key, message).as_ref().try_into().expect("HMAC-SHA1 has 20 bytes")
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Appends `bytes` in lower-case hexadecimal.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
    );
}

/// In lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    push_hex(&mut out, bytes);
    String::from_utf8(out).expect("digits are ASCII")
}

/// A digest out of 64 lower-case hexadecimal digits; `None` when it is anything else. Upper case is refused, since a
/// signature has one spelling.
pub fn from_hex(text: &[u8]) -> Option<Digest> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_written_and_read() {
        let digest = sha256(b"");
        assert_eq!(hex(&digest), EMPTY_SHA256);
        assert_eq!(from_hex(EMPTY_SHA256.as_bytes()), Some(digest));
        for wrong in ["", "e3", &EMPTY_SHA256.to_uppercase(), &EMPTY_SHA256.replace('e', "g")] {
            assert_eq!(from_hex(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn pieces_hash_as_one() {
        let mut hasher = Hasher::default();
        hasher.update(b"cl");
        hasher.update(b"ary");
        assert_eq!(hasher.finish(), sha256(b"clary"));
    }

    #[test]
    fn sameness_is_of_all_bytes() {
        assert!(is_same(b"ab", b"ab"));
        assert!(!is_same(b"ab", b"ac"));
        assert!(!is_same(b"ab", b"a"));
    }
}
