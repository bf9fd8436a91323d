//! CRC-32C (Castagnoli), eight bytes a step by eight tables ("slicing by 8").

/// The polynomial of RFC 3720, bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[k][byte]`: what `byte` followed by `k` zero bytes adds to the remainder.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder >> 1) ^ (POLYNOMIAL & (remainder & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let previous: u32 = tables[zeros - 1][byte];
            tables[zeros][byte] = (previous >> 8) ^ tables[0][(previous & 0xFF) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// A checksum of bytes that come in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc32c {
    remainder: u32,
}

impl Default for Crc32c {
    fn default() -> Self {
        Self { remainder: !0 }
    }
}

impl Crc32c {
    /// Takes the next piece.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let mut remainder = self.remainder;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let mixed = (u64::from_le_bytes(*word) ^ u64::from(remainder)).to_le_bytes();
            remainder = mixed
                .iter()
                .zip(TABLES.iter().rev())
                .fold(0, |sum, (&byte, table)| sum ^ table[byte as usize]);
        }
        for &byte in rest {
            remainder = (remainder >> 8) ^ TABLES[0][((remainder ^ u32::from(byte)) & 0xFF) as usize];
        }
        self.remainder = remainder;
    }

    /// The checksum.
    fn value(self) -> u32 {
        !self.remainder
    }

    /// As TFRecord stores it: rotated and shifted, so that a checksum of checksums stays sound.
    pub(super) fn masked(self) -> u32 {
        self.value().rotate_right(15).wrapping_add(0xA282_EAD8)
    }
}

/// The checksum of `bytes` as TFRecord stores it.
pub(super) fn masked(bytes: &[u8]) -> u32 {
    let mut checksum = Crc32c::default();
    checksum.update(bytes);
    checksum.masked()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: u32) {
        for cut in [0, bytes.len() / 3, bytes.len()] {
            let mut checksum = Crc32c::default();
            checksum.update(&bytes[..cut]);
            checksum.update(&bytes[cut..]);
            assert_eq!(checksum.value(), expected, "cut at {cut}");
        }
    }

    /// The vectors of RFC 3720, B.4, and the usual check value.
    #[test]
    fn published_vectors() {
        check(b"", 0);
        check(b"123456789", 0xE306_9283);
        check(&[0; 32], 0x8A91_36AA);
        check(&[0xFF; 32], 0x62A8_AB43);
        check(&std::array::from_fn::<u8, 32, _>(|i| i as u8), 0x46DD_794E);
    }

    #[test]
    fn every_length_equals_the_bitwise_definition() {
        let bytes: Vec<u8> = (0..100_u32).map(|i| (i * 37 + 11) as u8).collect();
        for length in 0..bytes.len() {
            let mut remainder = !0_u32;
            for &byte in &bytes[..length] {
                remainder ^= u32::from(byte);
                for _ in 0..8 {
                    remainder =
                        if remainder & 1 == 1 { (remainder >> 1) ^ POLYNOMIAL } else { remainder >> 1 };
                }
            }
            check(&bytes[..length], !remainder);
        }
    }
}
