//! CSV records: the fields of one line after RFC 4180. Fields are found, never read: a selection is made of the bytes that stand
//! between commas, so that quotes, spaces and the digits of numbers stay as they are.

use memchr::{memchr, memchr_iter};

use super::draft::{Draft, Span};
use super::error::ProcessError;
use super::path::{Path, Selector};

/// A record and its end of line apart.
pub(super) fn split_line(record: &[u8]) -> (&[u8], &[u8]) {
    let end = match record {
        [.., b'\r', b'\n'] => record.len() - 2,
        [.., b'\n'] => record.len() - 1,
        _ => record.len(),
    };
    record.split_at(end)
}

/// Makes of the draft's line the fields that `selectors`, which `path` is, select.
pub(super) fn select(path: &Path, selectors: &[Selector], mut draft: Draft<'_>) -> Result<(), ProcessError> {
    let line = draft.source();
    let is_quoted = memchr(b'"', line).is_some();
    let count = if is_quoted { count_fields(line, draft.what)? } else { memchr_iter(b',', line).count() + 1 };
    let mut cursor = Cursor { field: 0, at: 0, is_quoted };
    let mut is_first = true;
    for selector in selectors {
        let range = selector.range(count).map_err(|index| path.out_of_range(index, "field", count))?;
        if range.is_empty() {
            continue;
        }
        if !is_first {
            draft.push(b",");
        }
        is_first = false;
        let line = draft.source();
        let start = cursor.seek(line, range.start);
        let end = if range.end == count { line.len() } else { cursor.seek(line, range.end) - 1 };
        draft.copy(Span::new(start, end));
    }
    if is_first {
        return Err(path.refuse("at least one field", format!("none of {count}")));
    }
    draft.finish();
    Ok(())
}

/// An answer that is one line for several records, one value each: so XGBoost's container answers by `XGBOOST_CSV_LEGACY`.
pub(super) fn split_fields(line: &[u8], records: usize) -> Result<Vec<&[u8]>, ProcessError> {
    if count_fields(line, "the answer").ok() != Some(records) {
        return Err(ProcessError::Count { expected: records, found: 1 });
    }
    let mut at = 0;
    let fields = (0..records).map(|_| {
        let end = field_end(line, at).expect("the line was checked");
        let field = &line[at..end];
        at = end + 1;
        field
    });
    Ok(fields.collect())
}

/// How many fields `line` has, which is well-formed then.
pub(super) fn count_fields(line: &[u8], what: &'static str) -> Result<usize, ProcessError> {
    let (mut at, mut count) = (0, 1);
    loop {
        at = field_end(line, at)
            .map_err(|(byte, expected)| ProcessError::malformed(what, line, byte, expected))?;
        if at == line.len() {
            return Ok(count);
        }
        count += 1;
        at += 1;
    }
}

/// Where the field that starts at `at` ends; where the line is not CSV, and what is expected there.
fn field_end(line: &[u8], at: usize) -> Result<usize, (usize, &'static str)> {
    let open = skip_blanks(line, at);
    if line.get(open) != Some(&b'"') {
        return Ok(memchr(b',', &line[at..]).map_or(line.len(), |length| at + length));
    }
    let mut close = open + 1;
    loop {
        close += memchr(b'"', &line[close..]).ok_or((open, "a field that its closing quote ends"))?;
        if line.get(close + 1) != Some(&b'"') {
            break;
        }
        close += 2;
    }
    let end = skip_blanks(line, close + 1);
    if matches!(line.get(end), None | Some(b',')) {
        return Ok(end);
    }
    Err((end, "a comma or the end of the record behind a closing quote"))
}

fn skip_blanks(line: &[u8], at: usize) -> usize {
    at + line[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// A place in a well-formed line: where a field starts.
struct Cursor {
    field: usize,
    at: usize,
    is_quoted: bool,
}

impl Cursor {
    /// Moves to the start of `field`, which the line has.
    fn seek(&mut self, line: &[u8], field: usize) -> usize {
        if field < self.field {
            (self.field, self.at) = (0, 0);
        }
        let skipped = field - self.field;
        self.field = field;
        if skipped > 0 && !self.is_quoted {
            let comma = memchr_iter(b',', &line[self.at..]).nth(skipped - 1);
            self.at += comma.expect("fields were counted") + 1;
        } else {
            for _ in 0..skipped {
                self.at = field_end(line, self.at).expect("the line was checked") + 1;
            }
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::kind::Kind;

    fn filtered(path: &str, line: &str) -> Result<String, ProcessError> {
        let path = Path::parse("OutputFilter", path, Kind::Csv, false)?;
        let mut out = format!("before {line}").into_bytes();
        select(&path, &path.selectors(), Draft::new(&mut out, 7, "the record"))?;
        let text = String::from_utf8(out).expect("UTF-8 in, UTF-8 out");
        Ok(text.strip_prefix("before ").expect("what stood there stands there").to_owned())
    }

    fn check(path: &str, line: &str, expected: &str) {
        assert_eq!(filtered(path, line).as_deref(), Ok(expected), "{path} of {line}");
    }

    fn check_error(path: &str, line: &str, expected: &str) {
        assert_eq!(filtered(path, line).expect_err(path).to_string(), expected, "{path} of {line}");
    }

    #[test]
    fn indexes_and_slices() {
        check("$[0]", "a,b,c", "a");
        check("$[-1]", "a,b,c", "c");
        check("$[1:]", "a,b,c", "b,c");
        check("$[:-1]", "a,b,c", "a,b");
        check("$[:9]", "a,b,c", "a,b,c");
        check("$[2,0]", "a,b,c", "c,a");
        check("$[0,0]", "a,b,c", "a,a");
        check("$[0,2:]", "a,b,c,d", "a,c,d");
        check("$[0:2,3:]", "a,b,c,d,e", "a,b,d,e");
        check("$[3:,:2]", "a,b,c,d,e", "d,e,a,b");
        check("$[-2:,0]", "a,b,c", "b,c,a");
        check("$[0,5:]", "a,b", "a");
        check("$[1]", ",,", "");
        check("$[0]", "", "");
        check("$[0,2]", ",x,", ",");
    }

    #[test]
    fn fields_stay_as_they_stand() {
        check("$[1]", "1, 2.500 ,3", " 2.500 ");
        check("$[1:]", "1,1e400,-0.0,0x1", "1e400,-0.0,0x1");
        check("$[1]", r#"1,"a,b",3"#, r#""a,b""#);
        check("$[0,2]", r#""say ""hi"",",x, "c" "#, r#""say ""hi"",", "c" "#);
        check("$[-1]", r#""[0.1, 0.2]","[1.0, 2.0]""#, r#""[1.0, 2.0]""#);
        check("$[1]", "größe,値,x", "値");
        check("$[1]", "a,b\"c,d", "b\"c");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        check_error(
            "$[3]",
            "a,b,c",
            "OutputFilter \"$[3]\": expected field 3, counted from 0, found 3 in all",
        );
        check_error(
            "$[-4]",
            "a,b,c",
            "OutputFilter \"$[-4]\": expected field -4, counted from 0, found 3 in all",
        );
        check_error("$[1:]", "a", "OutputFilter \"$[1:]\": expected at least one field, found none of 1");
        check_error(
            "$[2:1]",
            "a,b,c",
            "OutputFilter \"$[2:1]\": expected at least one field, found none of 3",
        );
        check_error(
            "$[0]",
            "1,\"a,b",
            "the record, byte 2: expected a field that its closing quote ends, found \"\\\"a,b\"",
        );
        check_error(
            "$[0]",
            "1,\"a\"b,2",
            "the record, byte 5: expected a comma or the end of the record behind a closing quote, found \"b,2\"",
        );
    }

    #[test]
    fn lines_and_their_ends() {
        let check = |record: &str, line: &str, end: &str| {
            assert_eq!(split_line(record.as_bytes()), (line.as_bytes(), end.as_bytes()), "{record:?}");
        };
        check("1,2", "1,2", "");
        check("1,2\n", "1,2", "\n");
        check("1,2\r\n", "1,2", "\r\n");
        check("1,2\r", "1,2\r", "");
        check("\n", "", "\n");
        check("", "", "");
    }
}
