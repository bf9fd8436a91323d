//! Exponentials and logarithms of single precision that compilers turn into vector code: no branch, no call.
//!
//! `exp` takes the power of two out (x = n ln 2 + r, |r| ≤ ln 2 / 2) and sums the series of e^r; `softplus` sums that of
//! ln((1 + s) / (1 - s)) = 2 (s + s³/3 + …), at s = u / (2 + u). Both are within a few units of the last place.

/// 1.5 · 2²³: adding it rounds to a whole number, which the sum's low bits then are.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first times a small whole number is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// e to the `x`; beyond ±87 as at ±87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDING;
    let whole = shifted - ROUNDING;
    let r = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let series = 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = (series * r + 1.0) * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
}

/// ln(1 + e^x) and the logistic function of `x`.
#[inline(always)]
pub(crate) fn softplus_and_sigmoid(x: f32) -> (f32, f32) {
    let small = exp(-x.abs());
    let reciprocal = 1.0 / (1.0 + small);
    let s = small / (2.0 + small);
    let square = s * s;
    let series = 1.0 / 11.0;
    let series = series * square + 1.0 / 9.0;
    let series = series * square + 1.0 / 7.0;
    let series = series * square + 1.0 / 5.0;
    let series = series * square + 1.0 / 3.0;
    let series = series * square + 1.0;
    let sigmoid = if x >= 0.0 { reciprocal } else { small * reciprocal };
    (x.max(0.0) + 2.0 * s * series, sigmoid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_library() {
        for step in -8700..=8700 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 4e-7 * exact, "exp({x})");
            let (softplus, sigmoid) = softplus_and_sigmoid(x);
            let expected = f64::from(x).max(0.0) + (-f64::from(x).abs()).exp().ln_1p();
            assert!((f64::from(softplus) - expected).abs() <= 1e-6 * expected, "softplus({x})");
            let expected = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid) - expected).abs() <= 1e-6 * expected, "sigmoid({x})");
        }
    }
}
