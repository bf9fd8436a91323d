//! How an output of unknown length is cut into parts.

/// The sizes of parts: the same for the first thousand, then twice as large for each further thousand. The shortest that
/// starts with 8 MiB and reaches 5 TiB within 10,000 parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSizes {
    first: u64,
}

impl PartSizes {
    /// Parts of an upload, at most. Reason: S3's limit.
    pub const PARTS_MAX: u32 = 10_000;

    /// The first parts' bytes. Reason: above S3's least (5 MiB), few enough requests to hide their latency, and small enough
    /// for some of them to be in memory at once.
    pub const FIRST_BYTES: u64 = 8 << 20;

    /// Parts of one size.
    const PARTS_A_SIZE: u32 = 1000;

    /// Sizes that start at `first` bytes, at least 1. S3 takes none below 5 MiB; other stores, and tests, may.
    pub fn from_first(first: u64) -> Self {
        Self { first: first.clamp(1, 1 << 40) }
    }

    /// The bytes of the first parts.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The bytes of part `number`, from 1; only the last may have fewer.
    pub fn bytes(self, number: u32) -> u64 {
        self.first << ((number.clamp(1, Self::PARTS_MAX) - 1) / Self::PARTS_A_SIZE)
    }

    /// Bytes in the parts before `number`.
    pub fn offset(self, number: u32) -> u64 {
        let before = number.clamp(1, Self::PARTS_MAX + 1) - 1;
        let (sizes, rest) = (before / Self::PARTS_A_SIZE, u64::from(before % Self::PARTS_A_SIZE));
        let full = self.first * u64::from(Self::PARTS_A_SIZE) * ((1 << sizes) - 1);
        full + rest * (self.first << sizes)
    }
}

impl Default for PartSizes {
    fn default() -> Self {
        Self::from_first(Self::FIRST_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_reach_five_tebibytes() {
        let sizes = PartSizes::default();
        let check = |number: u32, mib: u64| assert_eq!(sizes.bytes(number), mib << 20, "{number}");
        check(1, 8);
        check(1000, 8);
        check(1001, 16);
        check(2000, 16);
        check(2001, 32);
        check(9001, 4096);
        check(10_000, 4096);
        assert!(sizes.offset(PartSizes::PARTS_MAX + 1) > 5 << 40);
        // Within S3's limits for a part: 5 MiB to 5 GiB.
        for number in 1..=PartSizes::PARTS_MAX {
            assert!((5 << 20..=5 << 30).contains(&sizes.bytes(number)), "{number}");
        }
    }

    #[test]
    fn offsets_are_sums_of_sizes() {
        for first in [1, 7, 8 << 20] {
            let sizes = PartSizes::from_first(first);
            let mut sum = 0;
            for number in 1..=PartSizes::PARTS_MAX {
                assert_eq!(sizes.offset(number), sum, "{first} {number}");
                sum += sizes.bytes(number);
            }
            assert_eq!(sizes.offset(PartSizes::PARTS_MAX + 1), sum);
        }
    }
}
