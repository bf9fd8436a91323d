//! Parts of short texts. `str::split` searches each part with the machinery of a long text, which costs a header's few short
//! parts several times what a plain loop does.

/// The parts of `text` between separators of one ASCII byte.
pub(crate) fn parts(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    debug_assert!(separator.is_ascii());
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = whole.bytes().position(|byte| byte == separator);
        rest = end.map(|at| &whole[at + 1..]);
        Some(end.map_or(whole, |at| &whole[..at]))
    })
}

/// The text before and behind the first separator of one ASCII byte.
pub(crate) fn once(text: &str, separator: u8) -> Option<(&str, &str)> {
    debug_assert!(separator.is_ascii());
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_standard_library() {
        for text in ["", ";", "a", "a;b", ";a;;b;", "\u{e9};\u{1f600}"] {
            assert!(parts(text, b';').eq(text.split(';')), "{text:?}");
            assert_eq!(once(text, b';'), text.split_once(';'), "{text:?}");
        }
    }
}
