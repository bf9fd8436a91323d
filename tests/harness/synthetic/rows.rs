//! CSV rows as a function of their number: of one width, so that any byte can be had without those before it.

/// Cells of a row.
pub const COLUMNS: usize = 4;

/// Bytes of a cell: `0.1234` and what follows it, a comma or a newline.
const CELL_BYTES: usize = 7;

/// Bytes of a row.
pub const ROW_BYTES: usize = COLUMNS * CELL_BYTES;

/// Rows drawn from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Another seed, other rows.
    pub seed: u64,
}

impl Rows {
    /// The decimals of row `number`'s cells, each below 10,000.
    pub fn cells(self, number: u64) -> [u16; COLUMNS] {
        // SplitMix64, which needs no state but the number.
        let mut bits = self.seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        [0, 16, 32, 48].map(|shift| ((bits >> shift) as u16) % 10_000)
    }

    /// Row `number` as it stands in the object.
    pub fn row(self, number: u64) -> [u8; ROW_BYTES] {
        let mut row = [0; ROW_BYTES];
        for (index, (cell, bytes)) in
            self.cells(number).into_iter().zip(row.as_chunks_mut::<CELL_BYTES>().0).enumerate()
        {
            let digit = |power: u16| b'0' + (cell / power % 10) as u8;
            let end = if index + 1 == COLUMNS { b'\n' } else { b',' };
            *bytes = [b'0', b'.', digit(1000), digit(100), digit(10), digit(1), end];
        }
        row
    }

    /// The bytes from `at` of the object that these rows make.
    pub fn fill(self, at: u64, bytes: &mut [u8]) {
        let width = ROW_BYTES as u64;
        let mut number = at / width;
        let mut skip = (at % width) as usize;
        let mut filled = 0;
        while filled < bytes.len() {
            let row = self.row(number);
            let count = (ROW_BYTES - skip).min(bytes.len() - filled);
            bytes[filled..filled + count].copy_from_slice(&row[skip..skip + count]);
            filled += count;
            skip = 0;
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_that_part_of_the_whole() {
        let rows = Rows { seed: 7 };
        let mut whole = vec![0; 50 * ROW_BYTES];
        rows.fill(0, &mut whole);
        assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 50);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let from = random.usize(..whole.len());
            let mut part = vec![0; random.usize(..=whole.len() - from)];
            rows.fill(from as u64, &mut part);
            assert_eq!(part, whole[from..from + part.len()]);
        }
    }

    #[test]
    fn rows_differ() {
        let rows = Rows { seed: 7 };
        assert_ne!(rows.row(0), rows.row(1));
        assert_ne!(rows.row(0), Rows { seed: 8 }.row(0));
    }
}
