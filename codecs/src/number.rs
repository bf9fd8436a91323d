//! Numbers in text: decimal to f32, correctly rounded, and f32 to the shortest decimal that reads back.
//!
//! Warning to the reader: this file reads digits eight at a time in a `u64` and rounds through f64. Both are exact or
//! refused. A decimal of at most [`FAST_DIGITS_MAX`] digits is `mantissa × 10^exponent`; computed in f64 it is off by
//! less than [`MARGIN_ULPS`] units in the last place, so when the f64 lies farther than that from every midpoint
//! between two f32, rounding it again gives the f32 nearest to the decimal itself. All else goes to `fast_float2`.

use dmatrix::NumberStyle;

/// Why bytes are not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// They do not start with one.
    Malformed,
    /// It is infinite, or rounds to infinity in f32.
    OutOfRange,
}

impl NumberError {
    /// What should have stood there.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Malformed => "a number",
            Self::OutOfRange => "a finite number within the range of f32",
        }
    }
}

/// Reads the number at the start of `bytes` as CSV and libsvm write it: as JSON does, and also `+1`, `007`, `.5`, `1.`,
/// and `nan` in any case (NaN comes back). Gives the value and how many bytes it took; what follows is the caller's
/// to check.
#[inline]
pub(crate) fn parse_text(bytes: &[u8]) -> Result<(f32, usize), NumberError> {
    scan::<false>(bytes)
}

/// Reads the number at the start of `bytes` by the grammar of RFC 8259; otherwise as [`parse_text`].
#[inline]
pub(crate) fn parse_json(bytes: &[u8]) -> Result<(f32, usize), NumberError> {
    scan::<true>(bytes)
}

/// Reads the digits at the start of `bytes`: the whole number (that of 19 digits or more is only known to be large) and
/// how many bytes it took.
#[inline]
pub(crate) fn leading_whole(bytes: &[u8]) -> Option<(u64, usize)> {
    let (value, count) = append_digits(0, bytes);
    let value = if count > FAST_DIGITS_MAX { u64::MAX } else { value };
    (count > 0).then_some((value, count))
}

/// Most digits of a mantissa that surely fits an `i64`, whose conversion to f64 is one instruction.
const FAST_DIGITS_MAX: usize = 18;

/// Three roundings (mantissa, power of ten, product) of half a unit each err by less than three units of the f64
/// result, whose unit may be half as large again in relative terms; 8 leaves room.
const MARGIN_ULPS: u64 = 8;

/// Powers of ten of a mantissa.
const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The smallest power of ten in [`POWERS`]: below, any mantissa of [`FAST_DIGITS_MAX`] digits is a subnormal f32.
const EXPONENT_MIN: i32 = -60;

/// Powers of ten from [`EXPONENT_MIN`] up, each rounded correctly by the compiler.
#[rustfmt::skip]
const POWERS: [f64; 99] = [
    1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52, 1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46, 1e-45,
    1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39, 1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29,
    1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13,
    1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26,
    1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38,
];

/// Where 1 stands in [`POWERS`].
const UNIT_INDEX: usize = EXPONENT_MIN.unsigned_abs() as usize;

#[inline(always)]
fn scan<const JSON: bool>(bytes: &[u8]) -> Result<(f32, usize), NumberError> {
    match bytes.first_chunk::<WINDOW_BYTES>().and_then(scan_window::<JSON>) {
        Some(number) => Ok(number),
        None => scan_any::<JSON>(bytes),
    }
}

/// Bytes that hold a sign, 7 digits, a point, 15 digits and what follows, so that no load in them needs a check.
const WINDOW_BYTES: usize = 32;

/// Reads the number that `window` starts with if it is a usual one: 1 to 7 digits before the point, at most 15 behind
/// it, 18 in all, no exponent.
#[inline(always)]
fn scan_window<const JSON: bool>(window: &[u8; WINDOW_BYTES]) -> Option<(f32, usize)> {
    let is_negative = window[0] == b'-';
    let start = usize::from(is_negative);
    let (whole, whole_digits) = leading_digits(load(window, start));
    // 0 and 8 and more are left to others. So is a leading zero in JSON, which may not be.
    if whole_digits.wrapping_sub(1) >= 7 || (JSON && whole_digits > 1 && window[start] == b'0') {
        return None;
    }
    let point = start + whole_digits;
    let (magnitude, end) = if window[point & 15] == b'.' {
        let (mantissa, fraction_digits) = scan_fraction::<JSON>(window, whole, point + 1)?;
        // At most 18 digits and, unless it is 0, from 1e-15 to 1e7: inside the range of f32.
        let double = mantissa as i64 as f64 * POWERS[UNIT_INDEX - (fraction_digits & 15)];
        if is_near_half(double) {
            return None;
        }
        (double as f32, point + 1 + fraction_digits)
    } else {
        // At most seven digits: exact.
        (whole as i64 as f32, point)
    };
    let is_whole_number = window[end & 31] | 0x20 != b'e';
    is_whole_number.then(|| (f32::from_bits(magnitude.to_bits() | (u32::from(is_negative) << 31)), end))
}

/// Appends the digits from `at` on to `whole`; gives the mantissa and their count.
#[inline(always)]
fn scan_fraction<const JSON: bool>(
    window: &[u8; WINDOW_BYTES],
    whole: u64,
    at: usize,
) -> Option<(u64, usize)> {
    let (high, high_digits) = leading_digits(load(window, at));
    if high_digits < 8 {
        let mantissa = whole * TENS[high_digits & 7] + high;
        return (!JSON || high_digits > 0).then_some((mantissa, high_digits));
    }
    let (low, low_digits) = leading_digits(load(window, at + 8));
    let mantissa = (whole * 100_000_000 + high).wrapping_mul(TENS[low_digits & 7]).wrapping_add(low);
    // With at most three digits in `whole` these are at most 18.
    (low_digits < 8 && whole < 1000).then_some((mantissa, 8 + low_digits))
}

/// The eight bytes at `at`, which is at most 17.
#[inline(always)]
fn load(window: &[u8; WINDOW_BYTES], at: usize) -> u64 {
    let chunk = window[at.min(WINDOW_BYTES - 8)..].first_chunk();
    u64::from_le_bytes(*chunk.expect("eight bytes from at most 24 on are inside 32"))
}

#[inline(never)]
fn scan_any<const JSON: bool>(bytes: &[u8]) -> Result<(f32, usize), NumberError> {
    let first = bytes.first().copied().unwrap_or(0);
    let negative = first == b'-';
    let start = usize::from(negative | (!JSON && first == b'+'));
    let (whole, whole_digits) = append_digits(0, &bytes[start..]);
    let mut end = start + whole_digits;
    let (mut mantissa, mut fraction_digits) = (whole, 0);
    if bytes.get(end) == Some(&b'.') {
        (mantissa, fraction_digits) = append_digits(whole, &bytes[end + 1..]);
        end += 1 + fraction_digits;
        if JSON && fraction_digits == 0 {
            return Err(NumberError::Malformed);
        }
    }
    let digits = whole_digits + fraction_digits;
    if digits == 0 || (JSON && (whole_digits == 0 || (whole_digits > 1 && bytes[start] == b'0'))) {
        return if JSON { Err(NumberError::Malformed) } else { parse_word(&bytes[start..], start) };
    }
    let mut exponent = -(fraction_digits as i32);
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let (power, length) = parse_exponent(&bytes[end..]).ok_or(NumberError::Malformed)?;
        exponent = exponent.saturating_add(power);
        end += length;
    }
    let index = exponent.wrapping_sub(EXPONENT_MIN) as usize;
    if digits <= FAST_DIGITS_MAX && index < POWERS.len() {
        let double = mantissa as i64 as f64 * POWERS[index];
        if mantissa == 0 || rounds_safely(double) {
            let single = (double as f32).to_bits() | (u32::from(negative) << 31);
            return Ok((f32::from_bits(single), end));
        }
    }
    parse_slowly(&bytes[..end]).map(|value| (value, end))
}

/// Whether the f32 nearest to `double` is also nearest to every number within [`MARGIN_ULPS`] of it.
#[inline(always)]
fn rounds_safely(double: f64) -> bool {
    // Strictly inside the range of normal f32, so that the margin cannot reach out of it.
    !is_near_half(double) && double > f64::from(f32::MIN_POSITIVE) && double < f64::from(f32::MAX)
}

/// Whether a normal `double` is within [`MARGIN_ULPS`] of a midpoint between two f32: the 29 bits that f32 lacks are
/// near one half.
#[inline(always)]
fn is_near_half(double: f64) -> bool {
    const SURPLUS: u64 = (1 << 29) - 1;
    const HALF: u64 = 1 << 28;
    (double.to_bits() & SURPLUS).wrapping_sub(HALF - MARGIN_ULPS) <= 2 * MARGIN_ULPS
}

/// Appends the decimal digits at the start of `bytes` to `mantissa` (wrapping: the count says when not to trust it).
#[inline(always)]
fn append_digits(mantissa: u64, bytes: &[u8]) -> (u64, usize) {
    let Some(chunk) = bytes.first_chunk() else { return append_bytes(mantissa, bytes) };
    let (value, count) = leading_digits(u64::from_le_bytes(*chunk));
    if count < 8 {
        return (mantissa.wrapping_mul(TENS[count & 7]).wrapping_add(value), count);
    }
    append_bytes(mantissa, bytes)
}

/// [`append_digits`] for long numbers and for the last bytes of a payload.
#[inline(never)]
fn append_bytes(mut mantissa: u64, bytes: &[u8]) -> (u64, usize) {
    let mut count = 0;
    while let Some(chunk) = bytes[count..].first_chunk() {
        let (value, 8) = leading_digits(u64::from_le_bytes(*chunk)) else { break };
        mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(value);
        count += 8;
    }
    for digit in bytes[count..].iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|&digit| digit < 10) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (mantissa, count)
}

/// The value and the count of the digits at the start of eight bytes, the first of them lowest, without a branch.
#[inline(always)]
fn leading_digits(bytes: u64) -> (u64, usize) {
    // In `word`, a digit's byte is 0..=9. Adding 0x76 sets the top bit of any other below 0x80; a carry out of a byte
    // can only disturb bytes behind a non-digit.
    let word = bytes ^ 0x3030_3030_3030_3030;
    let others = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() as usize / 8;
    // Moved up, so that the number ends in the last byte and zeros stand before it. Two shifts, for a count of 0.
    let unused = 64 - 8 * count as u32;
    let word = word << (unused / 2) << (unused / 2);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let high = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let low = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    (high.wrapping_add(low) >> 32, count)
}

/// The exponent at the start of `bytes`, its `e` included, and its length.
#[inline(never)]
fn parse_exponent(bytes: &[u8]) -> Option<(i32, usize)> {
    let sign = bytes.get(1).copied();
    let start = 1 + usize::from(matches!(sign, Some(b'+' | b'-')));
    let mut power = 0_i32;
    let digits = bytes[start..].iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|&digit| digit < 10);
    let mut count = 0;
    for digit in digits {
        power = power.saturating_mul(10).saturating_add(i32::from(digit));
        count += 1;
    }
    let power = if sign == Some(b'-') { -power } else { power };
    (count > 0).then_some((power, start + count))
}

#[cold]
#[inline(never)]
fn parse_slowly(number: &[u8]) -> Result<f32, NumberError> {
    // A leading plus is the only thing of our grammar that the library may not know.
    let number = number.strip_prefix(b"+").unwrap_or(number);
    let value = fast_float2::parse::<f32, _>(number).map_err(|_| NumberError::Malformed)?;
    if value.is_finite() { Ok(value) } else { Err(NumberError::OutOfRange) }
}

/// `nan`, or why not; `start` bytes of sign stand before `bytes`.
#[cold]
#[inline(never)]
fn parse_word(bytes: &[u8], start: usize) -> Result<(f32, usize), NumberError> {
    match bytes.first_chunk::<3>() {
        Some(word) if word.eq_ignore_ascii_case(b"nan") => Ok((f32::NAN, start + 3)),
        Some(word) if word.eq_ignore_ascii_case(b"inf") => Err(NumberError::OutOfRange),
        _ => Err(NumberError::Malformed),
    }
}

/// How a text format writes what is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NonFinite {
    nan: &'static str,
    infinity: &'static str,
}

impl NonFinite {
    /// As XGBoost's container writes CSV.
    pub(crate) const CSV: Self = Self { nan: "nan", infinity: "inf" };
    /// As Python writes (and reads) JSON. RFC 8259 has no word for them.
    pub(crate) const JSON: Self = Self { nan: "NaN", infinity: "Infinity" };
}

/// Appends `value` to `out` in `style`; what is not a whole number is written as a float in any style.
#[inline]
pub(crate) fn write_f32(value: f32, style: NumberStyle, non_finite: NonFinite, out: &mut Vec<u8>) {
    /// Whole numbers below this are written exactly by way of `i64`.
    const WHOLE_MAX: f32 = 9.0e18;
    if !value.is_finite() {
        return write_non_finite(value, non_finite, out);
    }
    if style == NumberStyle::Integer && value.abs() < WHOLE_MAX && value.trunc() == value {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    }
}

#[cold]
#[inline(never)]
fn write_non_finite(value: f32, non_finite: NonFinite, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(non_finite.nan.as_bytes());
    }
    if value < 0.0 {
        out.push(b'-');
    }
    out.extend_from_slice(non_finite.infinity.as_bytes());
}

#[cfg(test)]
mod tests;
