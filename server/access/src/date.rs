//! The two spellings of a request's moment: `20261124T095046Z` of `X-Amz-Date`, and the one of HTTP's `Date`.

use wire::Timestamp;

/// The length of `20261124T095046Z`.
pub const MOMENT_BYTES: usize = 16;

/// A moment as signatures have it: its text and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    text: [u8; MOMENT_BYTES],
    /// When.
    pub at: Timestamp,
}

impl Moment {
    /// `20261124T095046Z`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("it was digits, T and Z")
    }

    /// `20261124`.
    pub fn day(&self) -> &str {
        &self.as_str()[..8]
    }

    /// Reads `20261124T095046Z`; `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; MOMENT_BYTES] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let (year, month, day) = (number(&bytes[..4])?, number(&bytes[4..6])?, number(&bytes[6..8])?);
        let at = time(year, month, day, &bytes[9..11], &bytes[11..13], &bytes[13..15])?;
        Some(Self { text: bytes, at })
    }

    /// Reads `Tue, 24 Nov 2026 09:50:46 GMT`, also with `-0000` for the zone as Python writes it; `None` when it is
    /// anything else.
    pub fn parse_http(text: &str) -> Option<Self> {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (_weekday, rest) = text.split_once(", ")?;
        let mut words = rest.split(' ');
        let day = number(words.next()?.as_bytes())?;
        let name = words.next()?;
        let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
        let year = words.next().filter(|year| year.len() == 4)?;
        let clock = words.next().filter(|clock| clock.len() == 8)?.as_bytes();
        let zone = words.next()?;
        if clock[2] != b':' || clock[5] != b':' || !matches!(zone, "GMT" | "-0000") || words.next().is_some()
        {
            return None;
        }
        let at = time(number(year.as_bytes())?, month, day, &clock[..2], &clock[3..5], &clock[6..])?;
        let text = at.format("%Y%m%dT%H%M%SZ");
        Some(Self { text: text.as_bytes().try_into().ok()?, at })
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.len() <= 4 && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn time(year: i64, month: i64, day: i64, hour: &[u8], minute: &[u8], second: &[u8]) -> Option<Timestamp> {
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let is_date = (1970..=9998).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp(seconds * 1000))
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of the Gregorian calendar. The year is taken to start in March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    // Months from March on have 31, 30, 31, 30, 31 days, and again.
    let of_months = (153 * month + 2) / 5;
    of_years + of_months + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: i64) {
        let moment = Moment::parse(text).unwrap();
        assert_eq!((moment.at.0, moment.as_str()), (seconds * 1000, text));
        // The calendar library agrees.
        assert_eq!(moment.at.format("%Y%m%dT%H%M%SZ"), text);
    }

    #[test]
    fn moments_are_read() {
        check("19700101T000000Z", 0);
        check("20240102T030405Z", 1_704_164_645);
        check("20240229T235959Z", 1_709_251_199);
        check("20000301T000000Z", 951_868_800);
        check("21000228T120000Z", 4_107_499_200);
        check("99981231T235959Z", 253_370_764_799);
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_the_calendar() {
        let mut days = 0;
        for year in 1970..2370 {
            for (month, day) in
                (1..=12).flat_map(|month| (1..=days_of(year, month)).map(move |day| (month, day)))
            {
                assert_eq!(days_since_1970(year, month, day), days, "{year}-{month}-{day}");
                days += 1;
            }
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "20240102",
            "20240102T030405",
            "20240102t030405Z",
            "20240102T030405z",
            "20241301T000000Z",
            "20240230T000000Z",
            "20230229T000000Z",
            "20240100T000000Z",
            "20240102T240000Z",
            "20240102T006000Z",
            "20240102T000060Z",
            "2024 102T000000Z",
            "+0240102T000000Z",
            "19691231T235959Z",
            "99990101T000000Z",
            "20240102T030405ZZ",
        ] {
            assert_eq!(Moment::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_of_http_are_read() {
        let moment = Moment::parse("20240102T030405Z");
        assert_eq!(Moment::parse_http("Tue, 02 Jan 2024 03:04:05 GMT"), moment);
        assert_eq!(Moment::parse_http("Tue, 02 Jan 2024 03:04:05 -0000"), moment);
        for text in [
            "",
            "Tue, 02 Jan 2024 03:04:05",
            "Tue, 02 Jan 2024 03:04:05 CET",
            "Tue, 02 Jun 24 03:04:05 GMT",
            "Tue, 02 Foo 2024 03:04:05 GMT",
            "02 Jan 2024 03:04:05 GMT",
            "Tue, 02 Jan 2024 03-04-05 GMT",
            "Tue, 31 Feb 2024 03:04:05 GMT",
            "Tue, 02 Jan 2024 03:04:05 GMT x",
        ] {
            assert_eq!(Moment::parse_http(text), None, "{text:?}");
        }
    }
}
