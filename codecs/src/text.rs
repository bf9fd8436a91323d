//! What the text formats share: blanks, ends of lines, and how a foreign snippet is shown in a message.

/// The most characters of a foreign snippet in an error message, quotes included. Reason: a message is one line of a
/// log or a terminal; forty characters identify a cell.
pub(crate) const FOUND_CHARS_MAX: usize = 40;

/// `bytes` in quotes, printable whatever they are, cut to [`FOUND_CHARS_MAX`] characters.
#[cold]
pub(crate) fn found(bytes: &[u8]) -> String {
    // Each character takes at most four bytes, so these hold all that can be shown.
    let shown = &bytes[..bytes.len().min(4 * FOUND_CHARS_MAX)];
    let mut room = FOUND_CHARS_MAX - 2;
    let mut text = String::from("\"");
    for character in String::from_utf8_lossy(shown).chars() {
        let escaped = character.escape_debug();
        let length = escaped.clone().count();
        // One character stays free for the ellipsis.
        if length >= room {
            text.push('…');
            break;
        }
        text.extend(escaped);
        room -= length;
    }
    text.push('"');
    text
}

/// `text` cut to [`FOUND_CHARS_MAX`] characters, for messages that quote it themselves.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS_MAX - 1) {
        Some((end, last)) if end + last.len_utf8() < text.len() => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

/// [`found`] for what stands at `at`: a word, or the end of the payload.
#[cold]
pub(crate) fn found_at(body: &[u8], at: usize) -> String {
    let rest = body.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return "the end of the payload".to_owned();
    }
    // At least one byte, so that a newline or a comma in the wrong place shows itself.
    let length = rest[1..].iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b','));
    found(&rest[..length.map_or(rest.len(), |length| length + 1)])
}

/// The first byte from `at` on that is neither a space nor a tab.
#[inline]
pub(crate) fn skip_blanks(body: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t') = body.get(at) {
        at += 1;
    }
    at
}

/// Where the next line starts, if a LF or CRLF stands at `at`.
#[inline]
pub(crate) fn line_end(body: &[u8], at: usize) -> Option<usize> {
    match body.get(at)? {
        b'\n' => Some(at + 1),
        b'\r' if body.get(at + 1) == Some(&b'\n') => Some(at + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let text = found(bytes);
        assert_eq!(text, expected);
        assert!(text.chars().count() <= FOUND_CHARS_MAX, "{text}");
    }

    #[test]
    fn snippets_are_printable_and_short() {
        check(b"abc", r#""abc""#);
        check(b"", r#""""#);
        check(b"a\0\n\"\\", r#""a\0\n\"\\""#);
        check(b"\xff\xfe1", "\"\u{fffd}\u{fffd}1\"");
        check(&[b'x'; 5000], &format!("\"{}…\"", "x".repeat(37)));
        check("é".repeat(300).as_bytes(), &format!("\"{}…\"", "é".repeat(37)));
        check(&[0; 100], &format!("\"{}…\"", "\\0".repeat(18)));
    }

    #[test]
    fn long_words_are_shortened() {
        assert_eq!(shorten("text/csv"), "text/csv");
        assert_eq!(shorten(&"é".repeat(40)), "é".repeat(40));
        assert_eq!(shorten(&"é".repeat(41)), format!("{}…", "é".repeat(39)));
    }
}
