//! From a path's text to its steps. An error names the character, and what is served there.

use super::{CHARACTERS_MAX, NAMES_MAX, Selector, Step};
use crate::process::error::ProcessError;
use crate::process::kind::Kind;

/// What may stand in brackets.
const IN_BRACKETS: &str =
    "an index, a slice, a name in quotes or '*' (filters '?()' and expressions '()' are not served)";

/// Reads `text`, the path of `member` for records of `kind`.
pub(super) fn steps(
    member: &'static str,
    text: &str,
    kind: Kind,
    slices_include_end: bool,
) -> Result<Vec<Step>, ProcessError> {
    let mut parser = Parser { member, text, characters: text.chars().collect(), at: 0, slices_include_end };
    let length = parser.characters.len();
    if length > CHARACTERS_MAX {
        parser.at = CHARACTERS_MAX;
        return Err(parser.refuse_with("at most 63 characters", format!("{length}")));
    }
    if !parser.take('$') {
        return Err(parser.refuse("'$', where every path starts"));
    }
    let mut steps = Vec::new();
    while parser.at < length {
        let start = parser.at;
        let step = parser.step()?;
        let expected = match kind {
            Kind::Csv if matches!(step, Step::Child(_) | Step::Children(_)) => {
                "indexes and slices, as in $[0,2:] (a CSV record is a flat array without names)"
            }
            Kind::Csv if !steps.is_empty() => {
                "the end (a CSV record is a flat array: one step is all there is)"
            }
            Kind::Json | Kind::JsonLines
                if step.selects_several() && steps.iter().any(Step::selects_several) =>
            {
                "at most one step that selects several values"
            }
            _ => {
                steps.push(step);
                continue;
            }
        };
        parser.at = start;
        return Err(parser.refuse(expected));
    }
    // All fields of a CSV record are the record.
    if kind == Kind::Csv && steps == [Step::Wildcard] {
        steps.clear();
    }
    Ok(steps)
}

struct Parser<'a> {
    member: &'static str,
    text: &'a str,
    characters: Vec<char>,
    at: usize,
    slices_include_end: bool,
}

impl Parser<'_> {
    /// `.name`, `.*` or what stands in brackets.
    fn step(&mut self) -> Result<Step, ProcessError> {
        if self.take('[') {
            self.blanks();
            let step = self.brackets()?;
            self.blanks();
            return if self.take(']') { Ok(step) } else { Err(self.refuse("',' or ']'")) };
        }
        if !self.take('.') {
            return Err(self.refuse("'.', '[' or the end"));
        }
        match self.peek() {
            Some('*') => {
                self.at += 1;
                Ok(Step::Wildcard)
            }
            Some('.') => Err(self.refuse("a name or '*' (recursive descent '..' is not served)")),
            _ => self.bare_name().map(Step::Child),
        }
    }

    fn bare_name(&mut self) -> Result<String, ProcessError> {
        let is_name = |character: &&char| {
            character.is_alphanumeric() || matches!(character, '_' | '-') || !character.is_ascii()
        };
        let name: String = self.characters[self.at..].iter().take_while(is_name).collect();
        if name.is_empty() {
            return Err(self.refuse("a name of letters, digits, '_' and '-', or '*' (others as ['name'])"));
        }
        self.at += name.chars().count();
        Ok(name)
    }

    fn brackets(&mut self) -> Result<Step, ProcessError> {
        match self.peek() {
            Some('*') => {
                self.at += 1;
                Ok(Step::Wildcard)
            }
            Some('\'' | '"') => self.names(),
            Some('-' | ':' | '0'..='9') => self.selectors(),
            _ => Err(self.refuse(IN_BRACKETS)),
        }
    }

    fn names(&mut self) -> Result<Step, ProcessError> {
        let mut names = Vec::new();
        loop {
            let start = self.at;
            let name = self.quoted_name()?;
            if names.contains(&name) || names.len() == NAMES_MAX {
                self.at = start;
                return Err(self.refuse("each name once"));
            }
            names.push(name);
            if !self.comma() {
                break;
            }
            if !matches!(self.peek(), Some('\'' | '"')) {
                return Err(self.refuse("a name in quotes, as before the comma"));
            }
        }
        Ok(if names.len() == 1 { Step::Child(names.remove(0)) } else { Step::Children(names) })
    }

    fn quoted_name(&mut self) -> Result<String, ProcessError> {
        let quote = self.characters[self.at];
        self.at += 1;
        let mut name = String::new();
        loop {
            match self.peek() {
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(escaped @ ('\'' | '"' | '\\')) => name.push(escaped),
                        _ => return Err(self.refuse("a quote or a backslash behind a backslash")),
                    }
                }
                Some(character) if character == quote => break,
                Some(character) => name.push(character),
                None => return Err(self.refuse("a closing quote")),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(name)
    }

    fn selectors(&mut self) -> Result<Step, ProcessError> {
        let mut selectors = vec![self.selector()?];
        while self.comma() {
            selectors.push(self.selector()?);
        }
        Ok(match selectors[..] {
            [Selector::Index(index)] => Step::Element(index),
            _ => Step::Elements(selectors),
        })
    }

    fn selector(&mut self) -> Result<Selector, ProcessError> {
        let from = self.index()?;
        self.blanks();
        if !self.take(':') {
            return from
                .map(Selector::Index)
                .ok_or_else(|| self.refuse("an index or a slice, as before the comma"));
        }
        self.blanks();
        let to = self.index()?;
        self.blanks();
        if self.peek() == Some(':') {
            return Err(self.refuse("',' or ']' (slices with a step are not served)"));
        }
        let to = match to {
            // One behind the last is the end.
            Some(-1) if self.slices_include_end => None,
            Some(last) if self.slices_include_end => Some(last + 1),
            to => to,
        };
        Ok(Selector::Slice { from: from.unwrap_or(0), to })
    }

    /// A whole number, if one stands here.
    fn index(&mut self) -> Result<Option<i64>, ProcessError> {
        /// The most digits of an index. Reason: all such numbers fit an i64, and no record has more values.
        const DIGITS_MAX: usize = 18;
        let start = self.at;
        let is_negative = self.take('-');
        let digits: String =
            self.characters[self.at..].iter().take_while(|digit| digit.is_ascii_digit()).collect();
        if digits.is_empty() && !is_negative {
            return Ok(None);
        }
        match digits.parse::<i64>() {
            Ok(0) if is_negative => {
                self.at = start;
                Err(self.refuse("an index (-1 is the last, 0 the first)"))
            }
            Ok(index) if digits.len() <= DIGITS_MAX => {
                self.at += digits.len();
                Ok(Some(if is_negative { -index } else { index }))
            }
            _ => Err(self.refuse("an index of 1 to 18 digits")),
        }
    }

    /// Moves over a comma and the blanks around it, if one stands here.
    fn comma(&mut self) -> bool {
        self.blanks();
        let is_there = self.take(',');
        if is_there {
            self.blanks();
        }
        is_there
    }

    fn blanks(&mut self) {
        while self.take(' ') {}
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn take(&mut self, character: char) -> bool {
        let is_there = self.peek() == Some(character);
        self.at += usize::from(is_there);
        is_there
    }

    /// A refusal of what stands here.
    fn refuse(&self, expected: &str) -> ProcessError {
        let rest: String = self.characters[self.at.min(self.characters.len())..].iter().collect();
        self.refuse_with(expected, if rest.is_empty() { "the end".to_owned() } else { format!("{rest:?}") })
    }

    fn refuse_with(&self, expected: &str, found: String) -> ProcessError {
        ProcessError::Path {
            member: self.member,
            path: self.text.chars().take(2 * CHARACTERS_MAX).collect(),
            at: self.at + 1,
            expected: expected.to_owned(),
            found,
        }
    }
}

#[cfg(test)]
mod tests;
