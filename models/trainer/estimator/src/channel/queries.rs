//! Query ids of libsvm text, `label qid:7 index:value …`: the rows of a query are ranked among each other. The codecs know no
//! such token, so it is taken out (blanks take its place, so that byte positions stay) before they see the line.

use std::borrow::Cow;
use std::collections::HashSet;

/// What begins a query id.
const TOKEN: &[u8] = b"qid:";

/// The text without query ids, and the id of every row; none when no row has one.
pub(super) fn split(text: &[u8], lines_before: usize) -> Result<(Cow<'_, [u8]>, Vec<u32>), String> {
    if memchr::memmem::find(text, TOKEN).is_none() {
        return Ok((Cow::Borrowed(text), Vec::new()));
    }
    let (mut text, mut queries, mut at) = (text.to_vec(), Vec::new(), 0);
    let mut line = lines_before;
    while at < text.len() {
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length + 1);
        line += 1;
        if is_row(&text[at..end]) {
            let place = second_token(&text[at..end]);
            let Some((start, stop)) = place.filter(|place| text[at + place.0..].starts_with(TOKEN)) else {
                return Err(format!(
                    "row {line}: expected qid:number after the label as in other rows, found none"
                ));
            };
            let written = &text[at + start + TOKEN.len()..at + stop];
            let query = std::str::from_utf8(written).ok().and_then(|digits| digits.parse::<u32>().ok());
            queries.push(query.ok_or_else(|| {
                let found = String::from_utf8_lossy(written);
                format!("row {line}: expected qid: and a whole number below 2^32, found {found:?}")
            })?);
            text[at + start..at + stop].fill(b' ');
        }
        at = end;
    }
    Ok((Cow::Owned(text), queries))
}

/// Whether a line is a row rather than blank or a comment.
fn is_row(line: &[u8]) -> bool {
    line.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'#')
}

/// Where the line's second token starts and ends.
fn second_token(line: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    let mut skip = |is_blank: bool| {
        at += line[at..].iter().take_while(|byte| byte.is_ascii_whitespace() == is_blank).count();
        at
    };
    skip(true);
    skip(false);
    let start = skip(true);
    let end = skip(false);
    (end > start).then_some((start, end))
}

/// Watches that the rows of a query stand together.
#[derive(Debug, Default)]
pub(super) struct Together {
    last: Option<u32>,
    ended: HashSet<u32>,
}

impl Together {
    /// The first of the next rows whose query came before and was left, if there is one.
    pub(super) fn torn(&mut self, queries: &[u32]) -> Option<u32> {
        queries.iter().copied().find(|query| {
            let before = self.last.replace(*query);
            match before {
                Some(before) if before != *query => {
                    self.ended.insert(before);
                    self.ended.contains(query)
                }
                _ => false,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_out_of_their_place() {
        let text = b"1 qid:7 0:1\n# note qid:1\n\n0  qid:8\t1:2 # qid:9\n2 qid:8\n";
        let (rest, queries) = split(text, 0).expect("sound");
        assert_eq!(queries, [7, 8, 8]);
        assert_eq!(&rest[..], b"1       0:1\n# note qid:1\n\n0       \t1:2 # qid:9\n2      \n");
        assert_eq!(split(b"1 0:1\n", 0).expect("sound"), (Cow::Borrowed(&b"1 0:1\n"[..]), vec![]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, expected: &str| {
            let error = split(text.as_bytes(), 10).expect_err("wrong");
            assert!(error.contains(expected), "{error}");
        };
        check("1 qid:1 0:1\n1 0:1\n", "row 12: expected qid:number after the label");
        check("1 qid:x 0:1\n", "row 11: expected qid: and a whole number below 2^32, found \"x\"");
        check("1 0:1 qid:1\n", "row 11: expected qid:number after the label");
    }

    #[test]
    fn rows_of_a_query_stand_together() {
        let mut together = Together::default();
        assert_eq!(together.torn(&[1, 1, 2, 3, 3]), None);
        assert_eq!(together.torn(&[3, 4]), None);
        assert_eq!(together.torn(&[4, 5, 2]), Some(2));
    }
}
