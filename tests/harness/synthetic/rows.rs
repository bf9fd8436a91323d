//! CSV rows as a function of their number: of one width, so that any byte can be had without those before it.

use std::sync::Arc;

/// Cells of a row.
pub const COLUMNS: usize = 4;

/// Bytes of a cell: `0.1234` and what follows it, a comma or a newline.
const CELL_BYTES: usize = 7;

/// Bytes of a row.
pub const ROW_BYTES: usize = COLUMNS * CELL_BYTES;

/// After so many rows they come again. Reason: prime, so that no batch and no part begins where a period does; and small enough
/// to be held, so that rows cost a copy.
pub const PERIOD: u64 = 65_537;

/// Rows drawn from a seed.
#[derive(Debug, Clone)]
pub struct Rows {
    seed: u64,
    /// One period of them.
    bytes: Arc<[u8]>,
}

impl Rows {
    /// Another seed, other rows.
    pub fn new(seed: u64) -> Self {
        let bytes = (0..PERIOD).flat_map(|number| row(cells(seed, number))).collect();
        Self { seed, bytes }
    }

    /// The decimals of row `number`'s cells, each below 10,000.
    pub fn cells(&self, number: u64) -> [u16; COLUMNS] {
        cells(self.seed, number % PERIOD)
    }

    /// The bytes from `at` of the object that these rows make.
    pub fn fill(&self, at: u64, bytes: &mut [u8]) {
        let mut from = (at % self.bytes.len() as u64) as usize;
        let mut filled = 0;
        while filled < bytes.len() {
            let count = (self.bytes.len() - from).min(bytes.len() - filled);
            bytes[filled..filled + count].copy_from_slice(&self.bytes[from..from + count]);
            filled += count;
            from = 0;
        }
    }
}

fn cells(seed: u64, number: u64) -> [u16; COLUMNS] {
    // SplitMix64, which needs no state but the number.
    let mut bits = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    [0, 16, 32, 48].map(|shift| ((bits >> shift) as u16) % 10_000)
}

/// A row as it stands in the object.
fn row(cells: [u16; COLUMNS]) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    let places = row.as_chunks_mut::<CELL_BYTES>().0;
    for (index, (cell, bytes)) in cells.into_iter().zip(places).enumerate() {
        let digit = |power: u16| b'0' + (cell / power % 10) as u8;
        let end = if index + 1 == COLUMNS { b'\n' } else { b',' };
        *bytes = [b'0', b'.', digit(1000), digit(100), digit(10), digit(1), end];
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_that_part_of_the_whole() {
        let rows = Rows::new(7);
        // Around the end of a period.
        let start = (PERIOD - 25) * ROW_BYTES as u64;
        let whole: Vec<u8> = (PERIOD - 25..PERIOD + 25).flat_map(|number| row(rows.cells(number))).collect();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let from = random.usize(..whole.len());
            let mut part = vec![0; random.usize(..=whole.len() - from)];
            rows.fill(start + from as u64, &mut part);
            assert_eq!(part, whole[from..from + part.len()]);
        }
        assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 50);
    }

    #[test]
    fn rows_differ() {
        assert_ne!(Rows::new(7).cells(0), Rows::new(7).cells(1));
        assert_ne!(Rows::new(7).cells(0), Rows::new(8).cells(0));
    }
}
