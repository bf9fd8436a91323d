//! The record that a refusal names.

/// The row, from 1, that `message` names: the model's decoders say `row 3, column 2: expected …`. Only one of the `records` that
/// were sent can be meant.
pub(super) fn named_record(message: &str, records: usize) -> Option<usize> {
    let at = ["row ", "line ", "record "].iter().find_map(|word| {
        let at = message.find(word)?;
        let starts_a_word = !message[..at].ends_with(|before: char| before.is_alphanumeric());
        starts_a_word.then_some(at + word.len())
    })?;
    let digits = message[at..].split(|digit: char| !digit.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|row| (1..=records).contains(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_messages() {
        let check = |message, expected| assert_eq!(named_record(message, 100), expected, "{message}");
        check("row 3, column 2: expected a number, found `x`", Some(3));
        check("{\"error\": \"row 100: expected 4 features, found 3\"}", Some(100));
        check("line 7: expected an object", Some(7));
        check("row 101: expected 4 features", None);
        check("row 0", None);
        check("arrow 3", None);
        check("row x", None);
        check("expected at most 5 rows", None);
        check("", None);
    }
}
