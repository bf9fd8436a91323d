//! One CSV cell by the whole grammar: blanks around it, quotes with doubled quotes inside, LF, CRLF, the end of the
//! payload.

use memchr::{memchr, memchr2};

use crate::text;

/// What ends a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A comma: another cell follows.
    Comma,
    /// A newline or the end of the payload.
    RowEnd,
}

/// A cell of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    /// What stands in it without outer quotes and blanks; quotes inside are still doubled.
    pub(super) content: &'a [u8],
    pub(super) is_quoted: bool,
    /// Where the content starts in the payload.
    pub(super) at: usize,
    pub(super) stop: Stop,
    /// Where the next cell or row starts.
    pub(super) next: usize,
}

/// Why there is no cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellFault {
    pub(super) at: usize,
    pub(super) expected: &'static str,
    pub(super) found: String,
}

/// Reads the cell that starts at `at`.
#[inline(never)]
pub(super) fn read(body: &[u8], at: usize) -> Result<Cell<'_>, CellFault> {
    let open = text::skip_blanks(body, at);
    if body.get(open) == Some(&b'"') { read_quoted(body, open) } else { Ok(read_bare(body, open)) }
}

fn read_bare(body: &[u8], at: usize) -> Cell<'_> {
    let end = memchr2(b',', b'\n', &body[at..]).map_or(body.len(), |length| at + length);
    let is_comma = body.get(end) == Some(&b',');
    let mut content = &body[at..end];
    if body.get(end) == Some(&b'\n') {
        content = content.strip_suffix(b"\r").unwrap_or(content);
    }
    let stop = if is_comma { Stop::Comma } else { Stop::RowEnd };
    Cell { content: trim(content), is_quoted: false, at, stop, next: (end + 1).min(body.len()) }
}

fn read_quoted(body: &[u8], open: usize) -> Result<Cell<'_>, CellFault> {
    let mut close = open + 1;
    loop {
        let Some(length) = memchr(b'"', &body[close..]) else {
            let found = "the end of the payload".to_owned();
            return Err(CellFault { at: open, expected: "a closing quote", found });
        };
        close += length;
        if body.get(close + 1) != Some(&b'"') {
            break;
        }
        close += 2;
    }
    let behind = text::skip_blanks(body, close + 1);
    let (stop, next) = match body.get(behind) {
        Some(b',') => (Stop::Comma, behind + 1),
        None => (Stop::RowEnd, behind),
        Some(_) => match text::line_end(body, behind) {
            Some(next) => (Stop::RowEnd, next),
            None => {
                let expected = "a comma or the end of the row behind a closing quote";
                return Err(CellFault { at: behind, expected, found: text::found_at(body, behind) });
            }
        },
    };
    let raw = &body[open + 1..close];
    let blanks = text::skip_blanks(raw, 0);
    Ok(Cell { content: trim(&raw[blanks..]), is_quoted: true, at: open + 1 + blanks, stop, next })
}

/// `content`, which starts with no blank, without those at its end.
fn trim(content: &[u8]) -> &[u8] {
    let length = content.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    &content[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, content: &str, at: usize, stop: Stop, next: usize) {
        let cell = read(body.as_bytes(), 0).expect(body);
        let found = (std::str::from_utf8(cell.content).expect("ASCII"), cell.at, cell.stop, cell.next);
        assert_eq!(found, (content, at, stop, next), "{body:?}");
    }

    #[test]
    fn bare_cells() {
        check("1,2", "1", 0, Stop::Comma, 2);
        check(" 1\t,2", "1", 1, Stop::Comma, 4);
        check("1\n2", "1", 0, Stop::RowEnd, 2);
        check("1 \r\n2", "1", 0, Stop::RowEnd, 4);
        check("1", "1", 0, Stop::RowEnd, 1);
        check("1\r", "1\r", 0, Stop::RowEnd, 2);
        check("", "", 0, Stop::RowEnd, 0);
        check(",", "", 0, Stop::Comma, 1);
        check("a\"b,", "a\"b", 0, Stop::Comma, 4);
    }

    #[test]
    fn quoted_cells() {
        check("\"1\",2", "1", 1, Stop::Comma, 4);
        check(" \" 1 \" \r\n2", "1", 3, Stop::RowEnd, 9);
        check("\"a,\"\"b\"\"\nc\"", "a,\"\"b\"\"\nc", 1, Stop::RowEnd, 11);
        check("\"\"", "", 1, Stop::RowEnd, 2);
        check("\"\"\"\",", "\"\"", 1, Stop::Comma, 5);
    }

    #[test]
    fn faults() {
        let check = |body: &str, at, expected: &str, found: &str| {
            let fault = read(body.as_bytes(), 0).expect_err(body);
            assert_eq!((fault.at, fault.expected, fault.found.as_str()), (at, expected, found), "{body:?}");
        };
        check(" \"1,2", 1, "a closing quote", "the end of the payload");
        check("\"1\"\"", 0, "a closing quote", "the end of the payload");
        check("\"1\"2,3", 3, "a comma or the end of the row behind a closing quote", "\"2\"");
        check("\"1\" \r2", 4, "a comma or the end of the row behind a closing quote", "\"\\r2\"");
    }
}
