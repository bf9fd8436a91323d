//! Schedules of scheduled actions: `at(…)`, `rate(…)` and `cron(…)` in a time zone, between a start and an end.

mod cron;
mod field;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use wire::Timestamp;

use cron::Cron;

/// The longest expression that is read. Reason: the service's own limit.
const EXPRESSION_CHARS_MAX: usize = 1600;

/// The longest interval of a rate. Reason: a year; a rarer one is a mistake, and sums must not overflow.
const RATE_SECONDS_MAX: i64 = 366 * 86_400;

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Not one of the three forms.
    #[error("expected at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(six fields), found {0:?}")]
    Form(String),
    /// Not a date and time.
    #[error("at: expected yyyy-mm-ddThh:mm:ss, found {0:?}")]
    At(String),
    /// Not a rate.
    #[error("rate: expected a positive whole number of minutes, hours or days up to a year, found {0:?}")]
    Rate(String),
    /// Not six fields.
    #[error("cron: expected 6 fields (minutes hours day-of-month month day-of-week year), found {0}")]
    Fields(usize),
    /// A field of cron.
    #[error("cron: {field}: expected {expected}, found {found:?}")]
    Field {
        /// Which.
        field: &'static str,
        /// What may stand there.
        expected: String,
        /// What does.
        found: String,
    },
    /// Both days, or none.
    #[error(
        "cron: expected ? in exactly one of day-of-month and day-of-week, found {day_of_month:?} and {day_of_week:?}"
    )]
    Days {
        /// The one.
        day_of_month: String,
        /// The other.
        day_of_week: String,
    },
    /// An unknown zone.
    #[error("time zone: expected a name of the IANA database, found {0:?}")]
    Zone(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    At(DateTime),
    Rate { seconds: i64 },
    Cron(Box<Cron>),
}

/// When a scheduled action acts.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: Expression,
    zone: TimeZone,
    /// Not before.
    start: Option<Timestamp>,
    /// Not after.
    end: Option<Timestamp>,
    /// Where a rate without a start counts from: when the action was made.
    created: Timestamp,
}

impl Schedule {
    /// Reads an expression; times without an offset are of `zone` (UTC when absent).
    ///
    /// # Errors
    /// When it is not of the grammar, or the zone is unknown.
    pub fn parse(
        expression: &str,
        zone: Option<&str>,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        created: Timestamp,
    ) -> Result<Self, ScheduleError> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.to_owned()))?,
        };
        Ok(Self { expression: parse(expression)?, zone, start, end, created })
    }

    /// The first moment after `after` at which it acts; `None` when there is none any more.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        // A moment at the very start counts.
        let after = self.start.map_or(after, |start| after.max(start.plus_millis(-1)));
        let next = match &self.expression {
            Expression::At(moment) => at(&self.zone, *moment).filter(|moment| *moment > after),
            Expression::Rate { seconds } => self.next_of_rate(*seconds, after),
            Expression::Cron(cron) => cron.next_after(after, &self.zone),
        };
        next.filter(|next| self.end.is_none_or(|end| *next <= end))
    }

    fn next_of_rate(&self, seconds: i64, after: Timestamp) -> Option<Timestamp> {
        let interval_ms = seconds * 1000;
        // With a start it acts at the start; without, one interval after it was made.
        let first = self.start.unwrap_or_else(|| self.created.plus_millis(interval_ms));
        if after < first {
            return Some(first);
        }
        let passed = after.0.checked_sub(first.0)? / interval_ms;
        Some(first.plus_millis(passed.checked_add(1)?.checked_mul(interval_ms)?))
    }
}

/// A wall-clock time as a moment: in a gap the clocks' jump is added, in a fold the first of the two.
fn at(zone: &TimeZone, moment: DateTime) -> Option<Timestamp> {
    let moment = zone.to_ambiguous_timestamp(moment).compatible().ok()?;
    Some(Timestamp(moment.as_millisecond()))
}

fn parse(text: &str) -> Result<Expression, ScheduleError> {
    let form = || ScheduleError::Form(text.chars().take(100).collect());
    if text.len() > EXPRESSION_CHARS_MAX {
        return Err(form());
    }
    let (kind, rest) = text.split_once('(').ok_or_else(form)?;
    let inner = rest.strip_suffix(')').ok_or_else(form)?;
    match kind {
        "at" => parse_at(inner),
        "rate" => parse_rate(inner),
        "cron" => Cron::parse(inner).map(|cron| Expression::Cron(Box::new(cron))),
        _ => Err(form()),
    }
}

fn parse_at(text: &str) -> Result<Expression, ScheduleError> {
    let error = || ScheduleError::At(text.to_owned());
    // jiff reads more forms than this one.
    let is_form = text.len() == 19
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if !is_form {
        return Err(error());
    }
    text.parse().map(Expression::At).map_err(|_| error())
}

fn parse_rate(text: &str) -> Result<Expression, ScheduleError> {
    let error = || ScheduleError::Rate(text.to_owned());
    let mut words = text.split_ascii_whitespace();
    let (Some(value), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return Err(error());
    };
    let value: i64 = value.parse().map_err(|_| error())?;
    let unit_seconds = match unit {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 86_400,
        _ => return Err(error()),
    };
    let seconds = value.checked_mul(unit_seconds).filter(|seconds| (1..=RATE_SECONDS_MAX).contains(seconds));
    seconds.map(|seconds| Expression::Rate { seconds }).ok_or_else(error)
}

#[cfg(test)]
mod tests;
