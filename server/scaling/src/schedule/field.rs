//! One field of a cron expression: a set of whole numbers.

use super::ScheduleError;

/// What may stand in a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its name, for errors.
    pub(super) name: &'static str,
    /// The smallest number.
    pub(super) min: u16,
    /// The largest.
    pub(super) max: u16,
    /// Names of the numbers from `min` on.
    pub(super) names: &'static [&'static str],
}

/// The numbers of a field, as bits from its smallest number on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    min: u16,
    bits: [u64; 4],
}

impl Set {
    pub(super) fn has(&self, number: u16) -> bool {
        let Some(bit) = number.checked_sub(self.min) else { return false };
        self.bits.get(usize::from(bit / 64)).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn add(&mut self, number: u16) {
        let bit = number - self.min;
        self.bits[usize::from(bit / 64)] |= 1 << (bit % 64);
    }
}

impl Field {
    /// A list of numbers, names, ranges and steps: `1,3-5,10/2,*`.
    pub(super) fn parse(&self, text: &str) -> Result<Set, ScheduleError> {
        let mut set = Set { min: self.min, bits: [0; 4] };
        for item in text.split(',') {
            let (first, last, step) = self.item(item)?;
            for number in (first..=last).step_by(usize::from(step)) {
                set.add(number);
            }
        }
        Ok(set)
    }

    /// The ends and the step of one item.
    fn item(&self, item: &str) -> Result<(u16, u16, u16), ScheduleError> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => {
                let step = step.parse().ok().filter(|step| *step > 0 && *step <= self.max);
                (range, Some(step.ok_or_else(|| self.error(item))?))
            }
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (self.min, self.max),
            (_, Some((first, last))) => (self.number(first, item)?, self.number(last, item)?),
            (single, None) => {
                let first = self.number(single, item)?;
                // `5/10`: from 5 on.
                (first, if step.is_some() { self.max } else { first })
            }
        };
        if first > last {
            return Err(self.error(item));
        }
        Ok((first, last, step.unwrap_or(1)))
    }

    /// A number or its name.
    pub(super) fn number(&self, text: &str, item: &str) -> Result<u16, ScheduleError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(index) => Some(self.min + index as u16),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number.filter(|number| (self.min..=self.max).contains(number)).ok_or_else(|| self.error(item))
    }

    pub(super) fn error(&self, found: &str) -> ScheduleError {
        let names =
            if self.names.is_empty() { String::new() } else { format!(" or {}", self.names.join(" ")) };
        let expected = format!("numbers {} to {}{names} with , - * /", self.min, self.max);
        ScheduleError::Field { field: self.name, expected, found: found.chars().take(50).collect() }
    }
}
