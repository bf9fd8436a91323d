//! The readers against the grammar and `str::parse`; the writer against the readers.

use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Result<(f32, usize), NumberError>) {
    let bits =
        |result: Result<(f32, usize), NumberError>| result.map(|(value, length)| (value.to_bits(), length));
    assert_eq!(bits(parse_text(text.as_bytes())), bits(expected), "{text:?}");
    // The same number far from the end of its payload, where it is read by way of a window.
    let padded = format!("{text},{}", "0123456789".repeat(4));
    assert_eq!(bits(parse_text(padded.as_bytes())), bits(expected), "{padded:?}");
}

fn check_json(text: &str, expected: Result<(f32, usize), NumberError>) {
    assert_eq!(parse_json(text.as_bytes()), expected, "{text:?}");
    let padded = format!("{text}],[{}", "0123456789".repeat(4));
    assert_eq!(parse_json(padded.as_bytes()), expected, "{padded:?}");
}

/// Reads `text` by both grammars and by the standard library.
fn check_oracle(text: &str) {
    let expected: f32 = text.parse().expect("a decimal");
    let expected =
        if expected.is_finite() { Ok((expected, text.len())) } else { Err(NumberError::OutOfRange) };
    check(text, expected);
    check_json(text, expected);
}

#[test]
fn the_text_grammar() {
    check("1", Ok((1.0, 1)));
    check("-0", Ok((-0.0, 2)));
    check("+1.5", Ok((1.5, 4)));
    check("007.25", Ok((7.25, 6)));
    check(".5", Ok((0.5, 2)));
    check("1.", Ok((1.0, 2)));
    check("1.e2", Ok((100.0, 4)));
    check("12e-1x", Ok((1.2, 5)));
    check("1.2.3", Ok((1.2, 3)));
    check("nan", Ok((f32::NAN, 3)));
    check("NaN", Ok((f32::NAN, 3)));
    for malformed in ["", "-", "+", ".", "-.", "e5", "1e", "1e+", "x", "--1", "+-1", "na", "\u{ff11}"] {
        check(malformed, Err(NumberError::Malformed));
    }
    for infinite in [
        "inf",
        "-Infinity",
        "1e39",
        "-3.4028236e38",
        "1e999999999999",
        "400000000000000000000000000000000000000",
    ] {
        check(infinite, Err(NumberError::OutOfRange));
    }
}

#[test]
fn the_json_grammar() {
    check_json("-12.50e+1", Ok((-125.0, 9)));
    check_json("0", Ok((0.0, 1)));
    check_json("0.5", Ok((0.5, 3)));
    for malformed in ["+1", "01", "-01", ".5", "1.", "1.e2", "-", "NaN", "nan", "Infinity", "1e", ""] {
        check_json(malformed, Err(NumberError::Malformed));
    }
    check_json("1e39", Err(NumberError::OutOfRange));
}

#[test]
fn hard_decimals_round_as_the_standard_library_rounds() {
    for text in [
        // Halfway between two f32, and one digit to either side.
        "16777217",
        "16777216.99999999999",
        "16777217.00000000001",
        "33554434",
        "33554433",
        "1.00000005960464477539",
        "1.00000005960464477539062500",
        "1.000000059604644775390624",
        "1.000000059604644775390626",
        "0.50000002980232238769531250000000000000000000000000000001",
        "9007199254740993",
        "8388608.5",
        "8388609.5",
        // Both ends of the range.
        "3.4028235e38",
        "3.40282351e38",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "340282350000000000000000000000000000000",
        "1.17549435e-38",
        "1.1754943e-38",
        "1.1754942807573643e-38",
        "1.4e-45",
        "7.0064923216240854e-46",
        "7.00649232162408e-46",
        "1e-46",
        "1e-400",
        // Many digits, leading zeros, zeros.
        "0.000000000000000000000000123456789",
        "123456789012345678",
        "1234567890123456789",
        "12345678901234567890123",
        "0.30000000000000004",
        "0.1",
        "0.2",
        "0.0",
        "-0.0",
        "0e99",
        "0.0000000000000000000000000000000000000000000000000000000000000001e64",
        "99999999",
        "-12345678.5",
        "-1234567.12345678",
        "1234567.123456789012345",
        "999.123456789012345",
        "1000.12345678901234",
        "-99999999.99999999",
        "999999999999999999",
        "9999999999999999999",
        "18446744073709551616",
    ] {
        check_oracle(text);
    }
}

#[test]
fn digits_are_counted_at_every_length_and_before_every_byte() {
    for length in 0..=8_usize {
        for next in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
            let mut chunk = *b"98765432";
            chunk[length..].fill(next);
            let expected: u64 = std::str::from_utf8(&chunk[..length]).expect("ASCII").parse().unwrap_or(0);
            assert_eq!(leading_digits(u64::from_le_bytes(chunk)), (expected, length), "{chunk:?}");
        }
    }
}

#[test]
fn what_is_written() {
    let check = |value: f32, style, expected: &str| {
        let mut out = Vec::new();
        write_f32(value, style, NonFinite::JSON, &mut out);
        assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
    };
    check(1.0, NumberStyle::Float, "1.0");
    check(-0.0, NumberStyle::Float, "-0.0");
    check(0.1, NumberStyle::Float, "0.1");
    check(1e20, NumberStyle::Float, "1e20");
    check(1.2e-8, NumberStyle::Float, "1.2e-8");
    check(1.0, NumberStyle::Integer, "1");
    check(-16777216.0, NumberStyle::Integer, "-16777216");
    check(0.5, NumberStyle::Integer, "0.5");
    check(1e30, NumberStyle::Integer, "1e30");
    check(f32::NAN, NumberStyle::Integer, "NaN");
    check(f32::NEG_INFINITY, NumberStyle::Float, "-Infinity");
}

proptest! {
    #[test]
    fn any_f32_reads_back(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        prop_assume!(value.is_finite());
        let mut out = Vec::new();
        write_f32(value, NumberStyle::Float, NonFinite::CSV, &mut out);
        let (read, length) = parse_json(&out).expect("what was written");
        prop_assert_eq!((read.to_bits(), length), (bits, out.len()));
    }

    #[test]
    fn any_f64_rounds_as_the_standard_library_rounds(bits in any::<u64>(), places in 0_usize..20) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        check_oracle(&format!("{value:e}"));
        if value.abs() < 1e20 {
            check_oracle(&format!("{value:.places$}"));
        }
    }

    #[test]
    fn any_midpoint_rounds_as_the_standard_library_rounds(bits in 0_u32..0x7f7f_ffff, nudge in -3_i64..=3) {
        let midpoint = (f64::from(f32::from_bits(bits)) + f64::from(f32::from_bits(bits + 1))) / 2.0;
        let near = f64::from_bits(midpoint.to_bits().wrapping_add_signed(nudge));
        check_oracle(&format!("{near:e}"));
        check_oracle(&format!("{near:.17e}"));
    }

    #[test]
    fn any_decimal_rounds_as_the_standard_library_rounds(text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?(e[-+]?[0-9]{1,2})?") {
        check_oracle(&text);
    }
}
