//! Fewer dimensions by a random map that keeps lengths and inner products in expectation.
//!
//! `sign` (Achlioptas, 2003): `y = x·R / √t`, R of -1 and +1. `fjlt` (Ailon and Chazelle, 2006): `y = √(p/t)·S·H·D·x`, x filled
//! with zeros to p, the next power of two; D a diagonal of -1 and +1, H the orthonormal Walsh–Hadamard matrix, S a
//! choice of t coordinates. Sums are in double precision in the order of the features, and a feature that is 0 adds nothing.

use crate::LoadError;
use crate::tensors::refuse;

/// The map.
#[derive(Debug, Clone, PartialEq)]
pub enum Reduction {
    /// By a matrix of signs.
    Sign {
        /// Input × target of -1 and +1, row-major.
        signs: Vec<i8>,
        /// Dimensions before.
        input: usize,
        /// Dimensions after.
        target: usize,
    },
    /// By the fast transform.
    Fjlt {
        /// -1 and +1, a power of two of them.
        signs: Vec<i8>,
        /// Which coordinates are kept.
        chosen: Vec<u32>,
        /// Dimensions before.
        input: usize,
    },
}

impl Reduction {
    /// Dimensions before.
    pub fn input(&self) -> usize {
        match self {
            Self::Sign { input, .. } | Self::Fjlt { input, .. } => *input,
        }
    }

    /// Dimensions after.
    pub fn target(&self) -> usize {
        match self {
            Self::Sign { target, .. } => *target,
            Self::Fjlt { chosen, .. } => chosen.len(),
        }
    }

    /// Appends the image of `row` to `out`; `buffer` is scratch.
    pub fn apply(&self, row: &[f32], buffer: &mut Vec<f64>, out: &mut Vec<f32>) {
        buffer.clear();
        let scale = 1.0 / (self.target() as f64).sqrt();
        match self {
            Self::Sign { signs, target, .. } => {
                buffer.resize(*target, 0.0);
                for (value, signs) in row.iter().zip(signs.chunks_exact(*target)) {
                    let value = f64::from(*value);
                    if value != 0.0 {
                        buffer.iter_mut().zip(signs).for_each(|(sum, sign)| *sum += value * f64::from(*sign));
                    }
                }
                out.extend(buffer.iter().map(|sum| (sum * scale) as f32));
            }
            Self::Fjlt { signs, chosen, .. } => {
                buffer
                    .extend(row.iter().zip(signs).map(|(value, sign)| f64::from(*value) * f64::from(*sign)));
                buffer.resize(signs.len(), 0.0);
                transform(buffer);
                out.extend(chosen.iter().map(|place| (buffer[*place as usize] * scale) as f32));
            }
        }
    }

    pub(super) fn check(&self, file: &str) -> Result<(), LoadError> {
        let signs = match self {
            Self::Sign { signs, input, target } => {
                if *target == 0 || signs.len() != input * target {
                    return Err(refuse(file, "reduction.signs: expected a sign for each pair of dimensions"));
                }
                signs
            }
            Self::Fjlt { signs, chosen, input } => {
                if chosen.is_empty() || *input == 0 || signs.len() != input.next_power_of_two() {
                    let reason = format!(
                        "reduction.signs: expected {} signs for {input} features, found {}",
                        input.next_power_of_two(),
                        signs.len()
                    );
                    return Err(refuse(file, reason));
                }
                if let Some(place) = chosen.iter().find(|place| **place as usize >= signs.len()) {
                    let most = signs.len() - 1;
                    return Err(refuse(
                        file,
                        format!("reduction.perm: expected places up to {most}, found {place}"),
                    ));
                }
                signs
            }
        };
        match signs.iter().find(|sign| !matches!(sign, -1 | 1)) {
            None => Ok(()),
            Some(sign) => Err(refuse(file, format!("reduction.signs: expected -1 or 1, found {sign}"))),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Sign { signs, .. } => signs.len(),
            Self::Fjlt { signs, chosen, .. } => signs.len() + size_of_val(&**chosen),
        }
    }
}

/// The Walsh–Hadamard transform without its factor, in place; the length is a power of two.
fn transform(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
}
