//! Seeded damage to bytes, for the smoke run of the fuzz targets.

/// Words that decide something in one of the formats.
const WORDS: [&[u8]; 14] = [
    b"",
    b"\n",
    b"\r\n",
    b",",
    b"\"",
    b"[",
    b"]",
    b"{",
    b"nan",
    b"-1",
    b"1e999",
    b"4294967296",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00\x00\x00\x00\x80",
];

/// The most bytes that a copy inside the input may move. Reason: inputs stay small, and the run short.
const COPY_BYTES_MAX: usize = 64;

/// `seed` with one to six random changes: flips, words, cuts, repeats, swaps.
pub fn mutate(seed: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.usize(1..=6) {
        let place = random.usize(..=bytes.len());
        match random.u8(..7) {
            0 if place < bytes.len() => bytes[place] ^= 1 << random.u8(..8),
            1 if place < bytes.len() => bytes[place] = random.u8(..),
            2 => bytes.truncate(place),
            3 => {
                let word = WORDS[random.usize(..WORDS.len())];
                bytes.splice(place..place, word.iter().copied());
            }
            4 => {
                let end = random.usize(place..=bytes.len().min(place + COPY_BYTES_MAX));
                bytes.drain(place..end);
            }
            5 => {
                let end = random.usize(place..=bytes.len().min(place + COPY_BYTES_MAX));
                let copy = bytes[place..end].to_vec();
                let into = random.usize(..=bytes.len());
                bytes.splice(into..into, copy);
            }
            // A little-endian word near its limits: lengths, counts and offsets live there.
            _ if place + 4 <= bytes.len() => {
                let value = [0, 1, u32::MAX, u32::MAX / 2, 1 << 29][random.usize(..5)];
                bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
            _ => {}
        }
    }
    bytes
}
