//! Cron in AWS's dialect: minutes, hours, day of month, month, day of week, year; one of the days is `?`.
//!
//! `L` is the last day (of the month), `15W` the weekday nearest to the 15th, `6L` the last Friday, `3#2` the second
//! Tuesday. Days of the week are 1 (Sunday) to 7 (Saturday).

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use wire::Timestamp;

use super::field::{Field, Set};
use super::{ScheduleError, at};

const YEAR_MIN: u16 = 1970;
const YEAR_MAX: u16 = 2199;

const MINUTES: Field = Field { name: "minutes", min: 0, max: 59, names: &[] };
const HOURS: Field = Field { name: "hours", min: 0, max: 23, names: &[] };
const DAY_OF_MONTH: Field = Field { name: "day-of-month", min: 1, max: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const DAY_OF_WEEK: Field =
    Field { name: "day-of-week", min: 1, max: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };
const YEAR: Field = Field { name: "year", min: YEAR_MIN, max: YEAR_MAX, names: &[] };

/// Which days of a month.
#[derive(Debug, Clone, PartialEq)]
enum Days {
    /// By their numbers.
    OfMonth(Set),
    /// So many days before the last.
    Last { before: i8 },
    /// The weekday (Monday to Friday) nearest to a number, in the same month.
    NearestWeekday(i8),
    /// The last weekday.
    LastWeekday,
    /// By the day of the week.
    OfWeek(Set),
    /// The last of its kind.
    LastOfWeek(i8),
    /// The n-th of its kind.
    NthOfWeek { day: i8, n: i8 },
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cron {
    minutes: Set,
    hours: Set,
    days: Days,
    months: Set,
    years: Set,
}

impl Cron {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minutes, hours, day_of_month, month, day_of_week, year] = fields.as_slice() else {
            return Err(ScheduleError::Fields(fields.len()));
        };
        let days = match (day_of_month, day_of_week) {
            ("?", "?") => None,
            (_, "?") => Some(parse_day_of_month(day_of_month)?),
            ("?", _) => Some(parse_day_of_week(day_of_week)?),
            _ => None,
        };
        let days = days.ok_or_else(|| ScheduleError::Days {
            day_of_month: day_of_month.to_owned(),
            day_of_week: day_of_week.to_owned(),
        })?;
        Ok(Self {
            minutes: MINUTES.parse(minutes)?,
            hours: HOURS.parse(hours)?,
            days,
            months: MONTH.parse(month)?,
            years: YEAR.parse(year)?,
        })
    }

    /// The first moment after `after`, by the clocks of `zone`.
    pub(super) fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moment = jiff::Timestamp::from_millisecond(after.0).ok()?;
        let first = zone.to_datetime(moment).date();
        let first_year = u16::try_from(first.year()).unwrap_or(0).max(YEAR_MIN);
        let days = (first_year..=YEAR_MAX)
            .filter(|year| self.years.has(*year))
            .flat_map(|year| (1..=12).filter(|month| self.months.has(*month)).map(move |month| (year, month)))
            .flat_map(|(year, month)| self.days.of(year as i16, month as i8))
            .filter(|day| *day >= first);
        days.into_iter().find_map(|day| self.next_of_day(day, after, zone))
    }

    /// The first moment of a day after `after`. The whole day is looked at, since a jump of the clocks can make a later
    /// time of the clock the earlier moment.
    fn next_of_day(&self, day: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let hours = (0..24).filter(|hour| self.hours.has(*hour));
        let times = hours.flat_map(|hour| {
            (0..60).filter(|minute| self.minutes.has(*minute)).map(move |minute| (hour, minute))
        });
        times
            .filter_map(|(hour, minute)| at(zone, day.at(hour as i8, minute as i8, 0, 0)))
            .filter(|moment| *moment > after)
            .min()
    }
}

impl Days {
    /// The days of a month, in order.
    fn of(&self, year: i16, month: i8) -> Vec<Date> {
        let Ok(first) = Date::new(year, month, 1) else { return Vec::new() };
        let last = first.days_in_month();
        let days = (1..=last).filter_map(|day| Date::new(year, month, day).ok());
        match self {
            Self::OfMonth(set) => days.filter(|day| set.has(day.day() as u16)).collect(),
            Self::Last { before } => days.filter(|day| day.day() == last - before).collect(),
            Self::NearestWeekday(number) => nearest_weekday(first, *number).into_iter().collect(),
            Self::LastWeekday => nearest_weekday(first, last).into_iter().collect(),
            Self::OfWeek(set) => days.filter(|day| set.has(number(*day) as u16)).collect(),
            Self::LastOfWeek(wanted) => {
                days.filter(|day| number(*day) == *wanted && day.day() > last - 7).collect()
            }
            Self::NthOfWeek { day: wanted, n } => {
                days.filter(|day| number(*day) == *wanted && (day.day() - 1) / 7 + 1 == *n).collect()
            }
        }
    }
}

/// 1 (Sunday) to 7 (Saturday).
fn number(day: Date) -> i8 {
    day.weekday().to_sunday_one_offset()
}

/// The weekday nearest to day `wanted` of `first`'s month, never in another month; `None` where the month is shorter.
fn nearest_weekday(first: Date, wanted: i8) -> Option<Date> {
    let last = first.days_in_month();
    let day = Date::new(first.year(), first.month(), wanted).ok()?;
    let moved = match day.weekday() {
        Weekday::Saturday if wanted == 1 => wanted + 2,
        Weekday::Saturday => wanted - 1,
        Weekday::Sunday if wanted == last => wanted - 2,
        Weekday::Sunday => wanted + 1,
        _ => wanted,
    };
    Date::new(first.year(), first.month(), moved).ok()
}

fn parse_day_of_month(text: &str) -> Result<Days, ScheduleError> {
    let error = || DAY_OF_MONTH.error(text);
    if text == "L" {
        return Ok(Days::Last { before: 0 });
    }
    if text == "LW" {
        return Ok(Days::LastWeekday);
    }
    if let Some(before) = text.strip_prefix("L-") {
        let before = before.parse().ok().filter(|before| (1..=30).contains(before)).ok_or_else(error)?;
        return Ok(Days::Last { before });
    }
    if let Some(day) = text.strip_suffix('W') {
        return Ok(Days::NearestWeekday(DAY_OF_MONTH.number(day, text)? as i8));
    }
    DAY_OF_MONTH.parse(text).map(Days::OfMonth)
}

fn parse_day_of_week(text: &str) -> Result<Days, ScheduleError> {
    if let Some((day, n)) = text.split_once('#') {
        let n = n.parse().ok().filter(|n| (1..=5).contains(n)).ok_or_else(|| DAY_OF_WEEK.error(text))?;
        return Ok(Days::NthOfWeek { day: DAY_OF_WEEK.number(day, text)? as i8, n });
    }
    match text.strip_suffix('L') {
        // Alone it is the last day of the week.
        Some("") => DAY_OF_WEEK.parse("7").map(Days::OfWeek),
        Some(day) => Ok(Days::LastOfWeek(DAY_OF_WEEK.number(day, text)? as i8)),
        None => DAY_OF_WEEK.parse(text).map(Days::OfWeek),
    }
}
