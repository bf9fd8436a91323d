//! JSON records: what a path selects of a document, and members added to one. All by raw text, so that numbers, the order of keys
//! and even keys that stand twice stay as they are. What is written anew is spaced as our answers are: `": "` and `", "`.

use super::draft::{Draft, Span};
use super::error::{ProcessError, found};
use super::path::{NAMES_MAX, Path, Selector, Step};
use super::scanner::{Member, Scanner, check_utf8, document};

/// `text` without white space around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Makes of the draft's document what `path` selects.
pub(super) fn select(path: &Path, mut draft: Draft<'_>) -> Result<(), ProcessError> {
    let root = document(draft.source(), draft.what)?;
    Selection { path, draft: &mut draft }.value(path.steps(), root)?;
    draft.finish();
    Ok(())
}

struct Selection<'p, 'd, 'o> {
    path: &'p Path,
    draft: &'d mut Draft<'o>,
}

impl Selection<'_, '_, '_> {
    /// Writes what `steps` select of the value at `value`.
    fn value(&mut self, steps: &[Step], value: Span) -> Result<(), ProcessError> {
        let Some((step, rest)) = steps.split_first() else {
            self.draft.copy(value);
            return Ok(());
        };
        match step {
            Step::Child(name) => {
                let mut member = [None];
                self.find(value, std::slice::from_ref(name), &mut member)?;
                let [Some(Member { value, .. })] = member else { return Err(self.absent(name, value)) };
                self.value(rest, value)
            }
            Step::Children(names) => self.children(names, rest, value),
            Step::Element(index) => {
                let count = self.count(value)?;
                let range = Selector::Index(*index).range(count);
                let range = range.map_err(|index| self.path.out_of_range(index, "element", count))?;
                let element = Elements::new(value, self.draft.what).seek(self.draft.source(), range.start)?;
                self.value(rest, element)
            }
            Step::Elements(selectors) => self.elements(selectors, rest, value),
            Step::Wildcard if self.is_object(value) => self.all_members(rest, value),
            Step::Wildcard => self.elements(&[Selector::Slice { from: 0, to: None }], rest, value),
        }
    }

    /// `['a','b']`: an object of these members, in the order of the path.
    fn children(&mut self, names: &[String], rest: &[Step], object: Span) -> Result<(), ProcessError> {
        let mut members = [None; NAMES_MAX];
        self.find(object, names, &mut members)?;
        for (position, (name, member)) in names.iter().zip(members).enumerate() {
            let member = member.ok_or_else(|| self.absent(name, object))?;
            self.draft.push(if position == 0 { b"{" } else { b", " });
            self.draft.copy(member.key);
            self.draft.push(b": ");
            self.value(rest, member.value)?;
        }
        self.draft.push(b"}");
        Ok(())
    }

    /// The members of `object` with these names; of several with one name the last, as JSON readers take it.
    fn find(
        &self,
        object: Span,
        names: &[String],
        members: &mut [Option<Member>],
    ) -> Result<(), ProcessError> {
        if !self.is_object(object) {
            return Err(self.absent(&names[0], object));
        }
        let text = self.draft.source();
        let mut scanner = Scanner::new(object.start + 1, self.draft.what);
        let mut is_first = true;
        while let Some(member) = scanner.next_member(text, is_first)? {
            is_first = false;
            if let Some(position) = names.iter().position(|name| is_key(member.key.of(text), name)) {
                members[position] = Some(member);
            }
        }
        Ok(())
    }

    /// `.*` of an object: an array of its values.
    fn all_members(&mut self, rest: &[Step], object: Span) -> Result<(), ProcessError> {
        let mut scanner = Scanner::new(object.start + 1, self.draft.what);
        let mut is_first = true;
        while let Some(member) = scanner.next_member(self.draft.source(), is_first)? {
            self.draft.push(if is_first { b"[" } else { b", " });
            is_first = false;
            self.value(rest, member.value)?;
        }
        if is_first {
            return Err(self.path.refuse("at least one member", "an empty object"));
        }
        self.draft.push(b"]");
        Ok(())
    }

    /// `[0,5:]`, and `.*` of an array: an array.
    fn elements(&mut self, selectors: &[Selector], rest: &[Step], array: Span) -> Result<(), ProcessError> {
        let count = self.count(array)?;
        let mut elements = Elements::new(array, self.draft.what);
        let mut is_first = true;
        for selector in selectors {
            let range = selector.range(count);
            for index in range.map_err(|index| self.path.out_of_range(index, "element", count))? {
                self.draft.push(if is_first { b"[" } else { b", " });
                is_first = false;
                let element = elements.seek(self.draft.source(), index)?;
                self.value(rest, element)?;
            }
        }
        if is_first {
            return Err(self.path.refuse("at least one element", format!("none of {count}")));
        }
        self.draft.push(b"]");
        Ok(())
    }

    /// How many elements an array has.
    fn count(&self, array: Span) -> Result<usize, ProcessError> {
        let text = self.draft.source();
        if text[array.start] != b'[' {
            return Err(self.path.refuse("an array", found(array.of(text))));
        }
        let mut scanner = Scanner::new(array.start + 1, self.draft.what);
        let mut count = 0;
        while scanner.next_element(text, count == 0)?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn is_object(&self, value: Span) -> bool {
        self.draft.source()[value.start] == b'{'
    }

    #[cold]
    fn absent(&self, name: &str, value: Span) -> ProcessError {
        self.path.absent(name, value.of(self.draft.source()))
    }
}

/// An array that is walked: forwards it is one pass, backwards it starts again.
struct Elements {
    scanner: Scanner,
    /// Which element comes next.
    next: usize,
    start: Scanner,
}

impl Elements {
    fn new(array: Span, what: &'static str) -> Self {
        let start = Scanner::new(array.start + 1, what);
        Self { scanner: start, next: 0, start }
    }

    /// The element at `index`, which the array has.
    fn seek(&mut self, text: &[u8], index: usize) -> Result<Span, ProcessError> {
        if index < self.next {
            (self.scanner, self.next) = (self.start, 0);
        }
        loop {
            let element = self.scanner.next_element(text, self.next == 0)?;
            self.next += 1;
            if self.next > index {
                return Ok(element.expect("the elements were counted"));
            }
        }
    }
}

/// A member that is added to a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added<'a> {
    pub(super) name: &'static str,
    /// JSON.
    pub(super) value: &'a [u8],
}

/// The most members that are added at once. Reason: an answer, an id and a time.
const ADDED_MAX: usize = 3;

/// Adds members to the draft's document, in the place of those that have their names. What is no object becomes one, in which
/// the document stands under `wrapper`.
pub(super) fn add(mut draft: Draft<'_>, wrapper: &str, added: &[Added<'_>]) -> Result<(), ProcessError> {
    check_utf8(draft.source(), draft.what)?;
    let mut scanner = Scanner::new(0, draft.what);
    if scanner.take(draft.source(), b'{') {
        replace_and_append(&mut draft, scanner, added)?;
    } else {
        let root = document(draft.source(), draft.what)?;
        draft.push(b"{");
        push_key(&mut draft, wrapper);
        draft.copy(root);
        added.iter().for_each(|added| push_member(&mut draft, false, added));
        draft.push(b"}");
    }
    draft.finish();
    Ok(())
}

/// The same for an object, in which the scanner stands behind the brace.
fn replace_and_append(
    draft: &mut Draft<'_>,
    mut scanner: Scanner,
    added: &[Added<'_>],
) -> Result<(), ProcessError> {
    let mut is_there = [false; ADDED_MAX];
    let (mut copied, mut end, mut is_first) = (scanner.at - 1, scanner.at, true);
    while let Some(Member { key, value }) = scanner.next_member(draft.source(), is_first)? {
        let key = key.of(draft.source());
        if let Some(position) = added.iter().position(|added| is_key(key, added.name)) {
            is_there[position] = true;
            draft.copy(Span::new(copied, value.start));
            draft.push(added[position].value);
            copied = value.end;
        }
        (end, is_first) = (value.end, false);
    }
    let close = scanner.at;
    scanner.expect_end(draft.source())?;
    draft.copy(Span::new(copied, end));
    for (added, _) in added.iter().zip(is_there).filter(|(_, is_there)| !is_there) {
        push_member(draft, is_first, added);
        is_first = false;
    }
    draft.copy(Span::new(end, close));
    Ok(())
}

fn push_member(draft: &mut Draft<'_>, is_first: bool, added: &Added<'_>) {
    draft.push(if is_first { b"" } else { b", " });
    push_key(draft, added.name);
    draft.push(added.value);
}

/// Our own names need no escape.
fn push_key(draft: &mut Draft<'_>, name: &str) {
    for piece in [b"\"", name.as_bytes(), b"\": "] {
        draft.push(piece);
    }
}

/// Whether the key `raw`, which is well-formed and has its quotes, spells `name`.
fn is_key(raw: &[u8], name: &str) -> bool {
    if memchr::memchr(b'\\', raw).is_none() {
        return &raw[1..raw.len() - 1] == name.as_bytes();
    }
    let raw = std::str::from_utf8(raw).expect("the text was checked");
    // An escape that is no character (half of a surrogate pair) spells no name.
    serde_json::from_str::<String>(raw).is_ok_and(|key| key == name)
}
