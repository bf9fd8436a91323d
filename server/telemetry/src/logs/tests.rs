//! Logs over a fake clock.

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn logs() -> Logs {
    Logs::new(Arc::new(Store::in_memory().unwrap()))
}

fn say(logs: &Logs, stream: &str, time: i64, message: &str) {
    let (group, stream, message) = ("g".to_owned(), stream.to_owned(), message.to_owned());
    logs.enqueue(Line { group, stream, time: Timestamp(time), message });
    logs.flush(NOW).unwrap();
}

fn query(token: Option<&str>) -> EventQuery {
    EventQuery { start: None, end: None, is_from_head: true, token: token.map(str::to_owned), limit: 2 }
}

fn texts(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.message.as_str()).collect()
}

#[test]
fn what_was_said_is_read_to_its_end() {
    let logs = logs();
    for (time, message) in [(10, "a"), (20, "b\n"), (20, "c"), (15, "d"), (30, "\n")] {
        say(&logs, "s", time, message);
    }
    let first = logs.events("g", "s", &query(None)).unwrap();
    assert_eq!(texts(&first.events), ["a", "d"]);
    let second = logs.events("g", "s", &query(Some(&first.forward))).unwrap();
    assert_eq!(texts(&second.events), ["b", "c"]);
    let end = logs.events("g", "s", &query(Some(&second.forward))).unwrap();
    assert_eq!((texts(&end.events), &end.forward), (vec![], &second.forward));
    say(&logs, "s", 40, "e");
    let later = logs.events("g", "s", &query(Some(&end.forward))).unwrap();
    assert_eq!(texts(&later.events), ["e"]);
    let back = logs.events("g", "s", &query(Some(&later.backward))).unwrap();
    assert_eq!(texts(&back.events), ["b", "c"]);
}

#[test]
fn without_a_direction_the_newest_come() {
    let logs = logs();
    (1..=5).for_each(|time| say(&logs, "s", time, &time.to_string()));
    let newest = logs.events("g", "s", &EventQuery { is_from_head: false, ..query(None) }).unwrap();
    assert_eq!(texts(&newest.events), ["4", "5"]);
    let older = logs.events("g", "s", &query(Some(&newest.backward))).unwrap();
    assert_eq!(texts(&older.events), ["2", "3"]);
}

#[test]
fn a_range_begins_with_its_start_and_stops_before_its_end() {
    let logs = logs();
    (1..=5).for_each(|time| say(&logs, "s", time, &time.to_string()));
    let range = EventQuery { start: Some(Timestamp(2)), end: Some(Timestamp(4)), limit: 10, ..query(None) };
    assert_eq!(texts(&logs.events("g", "s", &range).unwrap().events), ["2", "3"]);
    let none = EventQuery { start: Some(Timestamp(9)), ..query(None) };
    let empty = logs.events("g", "s", &none).unwrap();
    assert!(empty.events.is_empty());
    say(&logs, "s", 9, "9");
    let then = logs.events("g", "s", &EventQuery { token: Some(empty.forward), ..none }).unwrap();
    assert_eq!(texts(&then.events), ["9"]);
}

#[test]
fn what_is_not_there_is_told_apart() {
    let logs = logs();
    let missing = |result: Result<EventPage, TelemetryError>| result.unwrap_err().to_string();
    assert_eq!(missing(logs.events("g", "s", &query(None))), "The specified log group does not exist.");
    logs.create_group("g", NOW).unwrap();
    assert_eq!(missing(logs.events("g", "s", &query(None))), "The specified log stream does not exist.");
    logs.create_stream("g", "s", NOW).unwrap();
    assert!(logs.events("g", "s", &query(None)).unwrap().events.is_empty());
    assert!(matches!(logs.create_group("g", NOW), Err(TelemetryError::GroupExists)));
    assert!(matches!(logs.create_stream("g", "s", NOW), Err(TelemetryError::StreamExists)));
    for token in ["", "x", "f/1", "f/a/1", "q/1/1", "f/1/1/1"] {
        let refused = logs.events("g", "s", &query(Some(token)));
        assert!(matches!(refused, Err(TelemetryError::Token)), "{token}");
    }
}

#[test]
fn streams_are_listed_in_pages_without_a_token_at_the_end() {
    let logs = logs();
    for (stream, time) in [("job/b", 5), ("job/a", 9), ("job/c", 1), ("other", 2)] {
        say(&logs, stream, time, "x");
    }
    let list = |order, is_descending, token, limit| {
        let query = StreamQuery { prefix: "job/".into(), order, is_descending, token, limit };
        let page = logs.streams("g", &query).unwrap();
        (page.streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>(), page.token)
    };
    assert_eq!(list(StreamOrder::LogStreamName, false, None, 3).1, None);
    let (first, token) = list(StreamOrder::LogStreamName, false, None, 2);
    assert_eq!(first, ["job/a", "job/b"]);
    assert_eq!(list(StreamOrder::LogStreamName, false, token, 2), (vec!["job/c".to_owned()], None));
    let (newest, token) = list(StreamOrder::LastEventTime, true, None, 1);
    assert_eq!(newest, ["job/a"]);
    assert_eq!(list(StreamOrder::LastEventTime, true, token, 5).0, ["job/b", "job/c"]);
    let streams =
        logs.streams("g", &StreamQuery { prefix: "job/a".into(), limit: 1, ..Default::default() }).unwrap();
    let stream = &streams.streams[0];
    assert_eq!((stream.first_event, stream.last_event), (Some(Timestamp(9)), Some(Timestamp(9))));
    assert_eq!((stream.last_ingestion, stream.bytes), (Some(NOW), 27));
}

#[test]
fn a_pattern_is_looked_for_in_all_streams() {
    let logs = logs();
    for (stream, time, message) in
        [("a/1", 3, "ERROR x"), ("a/2", 1, "fine"), ("a/2", 2, "ERROR y"), ("b", 4, "ERROR z")]
    {
        say(&logs, stream, time, message);
    }
    let query = FilterQuery {
        streams: vec![],
        prefix: "a/".into(),
        start: None,
        end: None,
        pattern: Pattern::parse("ERROR").unwrap(),
        token: None,
        limit: 1,
    };
    let first = logs.filter("g", &query).unwrap();
    assert_eq!((texts(&first.events), first.events[0].stream.as_str()), (vec!["ERROR y"], "a/2"));
    let rest = logs.filter("g", &FilterQuery { token: first.token, ..query.clone() }).unwrap();
    assert_eq!((texts(&rest.events), rest.token), (vec!["ERROR x"], None));
    let named = FilterQuery { streams: vec!["b".into()], prefix: String::new(), ..query.clone() };
    assert_eq!(texts(&logs.filter("g", &named).unwrap().events), ["ERROR z"]);
    let missing = FilterQuery { streams: vec!["c".into()], ..query };
    assert!(matches!(logs.filter("g", &missing), Err(TelemetryError::NoStream)));
}

#[test]
fn groups_are_listed_by_name() {
    let logs = logs();
    ["/b/1", "/a/2", "/a/1"].into_iter().for_each(|name| logs.create_group(name, NOW).unwrap());
    let names = |prefix: &str, part: &str, after: Option<&str>, limit| {
        let page = logs.groups(prefix, part, after, limit).unwrap();
        (page.groups.into_iter().map(|group| group.name).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(names("", "", None, 9).0, ["/a/1", "/a/2", "/b/1"]);
    assert_eq!(names("/a", "", None, 1), (vec!["/a/1".to_owned()], Some("/a/1".to_owned())));
    assert_eq!(names("/a", "", Some("/a/1"), 1), (vec!["/a/2".to_owned()], None));
    assert_eq!(names("", "1", None, 9).0, ["/a/1", "/b/1"]);
}

#[test]
fn old_events_and_too_many_bytes_go() {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    let logs = logs();
    (0..4).for_each(|day| say(&logs, "s", day * DAY_MS, "0123456789"));
    logs.set_retention("g", Some(2)).unwrap();
    logs.forget(Timestamp(4 * DAY_MS)).unwrap();
    let left = || logs.events("g", "s", &EventQuery { limit: 10, ..query(None) }).unwrap().events.len();
    assert_eq!(left(), 2);
    let group = &logs.groups("g", "", None, 1).unwrap().groups[0];
    assert_eq!((group.bytes, group.retention_days), (72, Some(2)));
    logs.store.write(|connection| forget_by_size(connection, 40)).unwrap();
    assert_eq!(left(), 1);
    assert_eq!(logs.groups("g", "", None, 1).unwrap().groups[0].bytes, 36);
}

#[test]
fn what_is_deleted_is_gone() {
    let logs = logs();
    say(&logs, "s", 1, "x");
    say(&logs, "t", 1, "x");
    logs.delete_stream("g", "s").unwrap();
    assert_eq!(logs.groups("", "", None, 1).unwrap().groups[0].bytes, 27);
    logs.delete_group("g").unwrap();
    assert!(matches!(logs.delete_group("g"), Err(TelemetryError::NoGroup)));
    assert!(logs.groups("", "", None, 1).unwrap().groups.is_empty());
}

#[test]
fn lines_beyond_the_limit_are_dropped_and_counted() {
    let logs = logs();
    let line = Line { group: "g".into(), stream: "s".into(), time: NOW, message: "x".into() };
    (0..PENDING_MAX + 3).for_each(|_| logs.enqueue(line.clone()));
    assert_eq!(logs.dropped(), 3);
    logs.flush(NOW).unwrap();
    let long = Line { message: "é".repeat(MESSAGE_BYTES_MAX), stream: "t".into(), ..line };
    logs.enqueue(long);
    logs.flush(NOW).unwrap();
    let page = logs.events("g", "t", &query(None)).unwrap();
    assert_eq!(page.events[0].message.len(), MESSAGE_BYTES_MAX / 2 * 2);
}
