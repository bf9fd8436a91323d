//! Uniform draws from a seed and a counter, and the mixing of hashes: for traffic shares, not for secrets.
//!
//! The generator is wyrand (Wang Yi, public domain): a Weyl sequence through one 128-bit multiplication whose halves are
//! folded. It has no state but the counter, so the n-th draw of a seed is always the same and costs two nanoseconds.

/// The Weyl step and the second factor, as wyrand has them.
const STEP: u64 = 0xa076_1d64_78bd_642f;
const FACTOR: u64 = 0xe703_7ed1_a0b4_28db;

/// Draw number `count` of `seed`.
#[inline]
pub fn draw(seed: u64, count: u64) -> u64 {
    let state = seed.wrapping_add(count.wrapping_mul(STEP));
    fold(state, state ^ FACTOR)
}

#[inline]
const fn fold(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    (product >> 64) as u64 ^ product as u64
}

/// Every bit of the result depends on every bit of `value`: the finaliser of splitmix64 (Steele, Lea and Flood 2014),
/// with Stafford's constants. It is a bijection, so different values stay different.
#[inline]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A well-mixed hash of `bytes`: eight at a time, each word mixed in; the length ends it.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(seed ^ STEP);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks are of eight bytes"));
        state = mix(state ^ word).wrapping_mul(FACTOR);
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    let state = mix(state ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    mix(state ^ bytes.len() as u64)
}

/// The upper half of the bits as a share of the whole: in [0, 1).
#[inline]
pub fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// The draws below this are `share` of all; `None` is every draw. What is no share is none.
pub fn threshold(share: f64) -> Option<u64> {
    if share >= 1.0 { None } else { Some((share * 18_446_744_073_709_551_616.0) as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_are_a_draw() {
        let sequence = |seed: u64| (0..1000).map(|count| draw(seed, count)).collect::<Vec<_>>();
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }

    #[test]
    fn every_bit_of_a_draw_is_one_half_of_the_time() {
        let mut ones = [0_u32; 64];
        for count in 0..100_000 {
            let draw = draw(1, count);
            for (bit, ones) in ones.iter_mut().enumerate() {
                *ones += (draw >> bit & 1) as u32;
            }
        }
        // Five standard deviations of a binomial of 100,000.
        assert!(ones.iter().all(|ones| ones.abs_diff(50_000) < 790), "{ones:?}");
    }

    #[test]
    fn a_hash_depends_on_every_byte_and_on_the_length() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..40 {
            let mut bytes = vec![0; length];
            assert!(seen.insert(hash(1, &bytes)), "{length} zeros");
            for at in 0..length {
                bytes[at] = 1;
                assert!(seen.insert(hash(1, &bytes)), "{bytes:?}");
                bytes[at] = 0;
            }
        }
        assert_ne!(hash(1, b"user"), hash(2, b"user"));
    }

    #[test]
    fn a_threshold_is_a_share_of_the_draws() {
        assert_eq!((threshold(0.0), threshold(0.5), threshold(1.0)), (Some(0), Some(1 << 63), None));
        assert_eq!((unit(0), unit(1 << 63)), (0.0, 0.5));
        assert!(unit(u64::MAX) < 1.0);
    }
}
