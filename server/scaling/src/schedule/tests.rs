//! Schedules against dates worked out by hand.

use super::*;

fn moment(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp(moment.as_millisecond())
}

fn schedule(expression: &str, zone: Option<&str>) -> Schedule {
    Schedule::parse(expression, zone, None, None, moment("2026-01-01T00:00:00Z")).unwrap()
}

/// The moments of `expression` after `after`, one after another.
fn check(expression: &str, zone: Option<&str>, after: &str, expected: &[&str]) {
    let schedule = schedule(expression, zone);
    let mut now = moment(after);
    for expected in expected {
        now = schedule.next_after(now).unwrap_or_else(|| panic!("{expression}: no moment, not {expected}"));
        assert_eq!(now.iso8601(), *expected, "{expression} {zone:?}");
    }
}

fn ends(expression: &str, after: &str) {
    assert_eq!(schedule(expression, None).next_after(moment(after)), None, "{expression}");
}

fn refused(expression: &str, expected: &str) {
    let found = Schedule::parse(expression, None, None, None, Timestamp(0)).map(drop);
    let found = found.expect_err(expression).to_string();
    assert!(found.contains(expected), "{expression}: {found}");
}

#[test]
fn at_is_once() {
    check("at(2026-11-24T10:00:00)", None, "2026-11-24T09:59:59Z", &["2026-11-24T10:00:00Z"]);
    ends("at(2026-11-24T10:00:00)", "2026-11-24T10:00:00Z");
    let tokyo = Some("Asia/Tokyo");
    check("at(2026-11-24T10:00:00)", tokyo, "2026-01-01T00:00:00Z", &["2026-11-24T01:00:00Z"]);
    for wrong in [
        "at()",
        "at(2026-11-24)",
        "at(2026-11-24 10:00:00)",
        "at(2026-13-24T10:00:00)",
        "at(2026-11-24T10:00:00Z)",
    ] {
        refused(wrong, "yyyy-mm-ddThh:mm:ss");
    }
}

#[test]
fn rates_count_from_the_start() {
    let after = "2026-01-01T00:03:00Z";
    check("rate(5 minutes)", None, after, &["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"]);
    check("rate(1 day)", None, after, &["2026-01-02T00:00:00Z"]);
    let start = Some(moment("2026-02-01T00:00:30Z"));
    let end = Some(moment("2026-02-01T02:00:30Z"));
    let schedule = Schedule::parse("rate(1 hour)", None, start, end, Timestamp(0)).unwrap();
    let mut moments = Vec::new();
    let mut now = moment(after);
    while let Some(next) = schedule.next_after(now) {
        moments.push(next.iso8601());
        now = next;
    }
    assert_eq!(moments, ["2026-02-01T00:00:30Z", "2026-02-01T01:00:30Z", "2026-02-01T02:00:30Z"]);
    for wrong in [
        "rate()",
        "rate(5)",
        "rate(0 minutes)",
        "rate(-1 hours)",
        "rate(1 week)",
        "rate(1 day now)",
        "rate(367 days)",
        "rate(9223372036854775807 days)",
    ] {
        refused(wrong, "positive whole number");
    }
}

#[test]
fn cron_of_plain_fields() {
    check(
        "cron(0 8 * * ? *)",
        None,
        "2026-11-24T07:00:00Z",
        &["2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z"],
    );
    check(
        "cron(0/15 * * * ? *)",
        None,
        "2026-11-24T07:31:00Z",
        &["2026-11-24T07:45:00Z", "2026-11-24T08:00:00Z"],
    );
    check(
        "cron(15,45 9-17/4 ? * MON-FRI *)",
        None,
        "2026-11-27T13:30:00Z",
        &["2026-11-27T13:45:00Z", "2026-11-27T17:15:00Z", "2026-11-27T17:45:00Z", "2026-11-30T09:15:00Z"],
    );
    check(
        "cron(0 0 29 2 ? *)",
        None,
        "2026-01-01T00:00:00Z",
        &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
    );
    check(
        "cron(30 6 1 jan,JUL ? 2027-2028)",
        None,
        "2027-02-01T00:00:00Z",
        &["2027-07-01T06:30:00Z", "2028-01-01T06:30:00Z"],
    );
    ends("cron(0 0 30 2 ? *)", "2026-01-01T00:00:00Z");
    ends("cron(0 0 * * ? 2025)", "2026-01-01T00:00:00Z");
}

#[test]
fn cron_of_special_days() {
    check(
        "cron(0 12 L * ? *)",
        None,
        "2027-01-31T12:00:00Z",
        &["2027-02-28T12:00:00Z", "2027-03-31T12:00:00Z"],
    );
    check("cron(0 12 L-2 * ? *)", None, "2028-02-01T00:00:00Z", &["2028-02-27T12:00:00Z"]);
    // 15 August 2026 is a Saturday, 1 November a Sunday, 1 August a Saturday, 31 May a Sunday.
    check("cron(0 12 15W 8 ? 2026)", None, "2026-01-01T00:00:00Z", &["2026-08-14T12:00:00Z"]);
    check("cron(0 12 1W 11 ? 2026)", None, "2026-01-01T00:00:00Z", &["2026-11-02T12:00:00Z"]);
    check("cron(0 12 1W 8 ? 2026)", None, "2026-01-01T00:00:00Z", &["2026-08-03T12:00:00Z"]);
    check("cron(0 12 LW 5 ? 2026)", None, "2026-01-01T00:00:00Z", &["2026-05-29T12:00:00Z"]);
    check("cron(0 12 31W 6 ? 2026)", None, "2025-01-01T00:00:00Z", &[]);
    ends("cron(0 12 31W 6 ? 2026)", "2025-01-01T00:00:00Z");
    check(
        "cron(0 12 ? * 6L *)",
        None,
        "2026-11-01T00:00:00Z",
        &["2026-11-27T12:00:00Z", "2026-12-25T12:00:00Z"],
    );
    check(
        "cron(0 12 ? * TUE#2 *)",
        None,
        "2026-11-01T00:00:00Z",
        &["2026-11-10T12:00:00Z", "2026-12-08T12:00:00Z"],
    );
    check("cron(0 12 ? * 1#5 *)", None, "2026-10-01T00:00:00Z", &["2026-11-29T12:00:00Z"]);
    check("cron(0 12 ? * L *)", None, "2026-11-24T00:00:00Z", &["2026-11-28T12:00:00Z"]);
    check("cron(0 12 ? * 7 *)", None, "2026-11-24T00:00:00Z", &["2026-11-28T12:00:00Z"]);
}

#[test]
fn clocks_that_jump() {
    let berlin = Some("Europe/Berlin");
    // On 29 March 2026 there is no 02:30; on 25 October it comes twice, and counts once.
    check(
        "cron(30 2 * * ? *)",
        berlin,
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"],
    );
    check(
        "cron(30 2 * * ? *)",
        berlin,
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    check(
        "cron(45,0 2,3 * * ? *)",
        berlin,
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-29T01:45:00Z", "2026-03-30T00:00:00Z"],
    );
}

#[test]
fn what_is_no_schedule_is_refused() {
    for wrong in ["", "at", "now()", "at(2026-11-24T10:00:00", "AT(2026-11-24T10:00:00)", "cron"] {
        refused(wrong, "expected at(");
    }
    refused("cron(* * * * ?)", "6 fields");
    refused("cron(* * * * * *)", "exactly one");
    refused("cron(* * ? * ? *)", "exactly one");
    for (wrong, field) in [
        ("cron(60 * * * ? *)", "minutes"),
        ("cron(*/0 * * * ? *)", "minutes"),
        ("cron(5-1 * * * ? *)", "minutes"),
        ("cron(+5 * * * ? *)", "minutes"),
        ("cron(0 24 * * ? *)", "hours"),
        ("cron(0 0 32 * ? *)", "day-of-month"),
        ("cron(0 0 0W * ? *)", "day-of-month"),
        ("cron(0 0 L-31 * ? *)", "day-of-month"),
        ("cron(0 0 * 13 ? *)", "month"),
        ("cron(0 0 * , ? *)", "month"),
        ("cron(0 0 ? * 8 *)", "day-of-week"),
        ("cron(0 0 ? * MON#6 *)", "day-of-week"),
        ("cron(0 0 ? * xL *)", "day-of-week"),
        ("cron(0 0 * * ? 1969)", "year"),
        ("cron(0 0 * * ? 2200)", "year"),
    ] {
        refused(wrong, &format!("cron: {field}: expected numbers"));
    }
    let zone = Schedule::parse("rate(1 day)", Some("Mars/Olympus"), None, None, Timestamp(0)).map(drop);
    assert_eq!(zone, Err(ScheduleError::Zone("Mars/Olympus".into())));
}
