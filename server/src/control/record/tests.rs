//! Lists against the naive twin: filter, sort, cut.

use std::cmp::Ordering;

use serde_json::json;

use super::*;
use crate::control::Database;

/// Names, times of creation and of change, statuses: with ties in each.
const RECORDS: &[(&str, i64, i64, &str)] = &[
    ("alpha", 10, 30, "InService"),
    ("Beta", 10, 20, "Failed"),
    ("beta-2", 20, 20, "InService"),
    ("gamma", 5, 40, "Creating"),
    ("Delta-gam", 20, 20, "InService"),
];

fn stored((name, created, modified, status): &(&str, i64, i64, &str)) -> Record {
    Record {
        name: (*name).to_owned(),
        arn: format!("arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"),
        created: Timestamp(*created),
        modified: Timestamp(*modified),
        status: (*status).to_owned(),
        document: json!({"of": name}).as_object().expect("an object").clone(),
    }
}

/// Runs `work` over a state with the records of this file.
async fn with_records<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, StateError> + Send + 'static,
) -> T {
    let database = Database::in_memory().expect("a database");
    let all = move |connection: &rusqlite::Transaction<'_>| {
        for row in RECORDS {
            assert!(insert(connection, Kind::Endpoint, &stored(row))?);
        }
        work(connection)
    };
    database.transact(all).await.expect("a transaction")
}

/// What `filter` shows, by the naive way.
fn naive(filter: &ListFilter) -> Vec<String> {
    let lower = |text: &str| text.to_lowercase();
    let mut kept: Vec<Record> = RECORDS
        .iter()
        .map(stored)
        .filter(|r| filter.name_contains.as_ref().is_none_or(|part| lower(&r.name).contains(&lower(part))))
        .filter(|r| filter.status_equals.as_ref().is_none_or(|status| &r.status == status))
        .filter(|r| filter.created_before.is_none_or(|time| r.created < time))
        .filter(|r| filter.created_after.is_none_or(|time| r.created > time))
        .filter(|r| filter.modified_before.is_none_or(|time| r.modified < time))
        .filter(|r| filter.modified_after.is_none_or(|time| r.modified > time))
        .collect();
    kept.sort_by(|a, b| {
        let key = match filter.sort_by {
            SortBy::CreationTime => a.created.cmp(&b.created),
            SortBy::LastModifiedTime => a.modified.cmp(&b.modified),
            SortBy::Status => a.status.cmp(&b.status),
            SortBy::Name => Ordering::Equal,
        };
        let order = key.then(lower(&a.name).cmp(&lower(&b.name)));
        if filter.is_ascending { order } else { order.reverse() }
    });
    kept.into_iter().map(|record| record.name).collect()
}

fn paged(connection: &Connection, filter: &ListFilter) -> Result<Vec<String>, StateError> {
    let mut filter = filter.clone();
    let mut names = Vec::new();
    loop {
        let page = list(connection, Kind::Endpoint, &filter)?;
        assert!(page.records.len() <= filter.limit);
        names.extend(page.records.into_iter().map(|record| record.name));
        filter.after = page.next;
        if filter.after.is_none() {
            return Ok(names);
        }
    }
}

#[tokio::test]
async fn every_filter_order_and_page_size_shows_what_the_naive_way_shows() {
    let filters = || {
        let sorts = [SortBy::CreationTime, SortBy::LastModifiedTime, SortBy::Name, SortBy::Status];
        let plain = |sort_by, is_ascending| ListFilter { sort_by, is_ascending, ..ListFilter::default() };
        sorts.into_iter().flat_map(move |sort| [plain(sort, true), plain(sort, false)]).flat_map(|filter| {
            [
                filter.clone(),
                ListFilter { name_contains: Some("GAM".into()), ..filter.clone() },
                ListFilter { name_contains: Some("%".into()), ..filter.clone() },
                ListFilter { status_equals: Some("InService".into()), ..filter.clone() },
                ListFilter { created_before: Some(Timestamp(20)), ..filter.clone() },
                ListFilter { created_after: Some(Timestamp(10)), ..filter.clone() },
                ListFilter { modified_before: Some(Timestamp(30)), ..filter.clone() },
                ListFilter { modified_after: Some(Timestamp(20)), ..filter },
            ]
        })
    };
    let found = with_records(move |connection| {
        filters()
            .flat_map(|filter| (1..=6).map(move |limit| ListFilter { limit, ..filter.clone() }))
            .map(|filter| Ok((paged(connection, &filter)?, filter)))
            .collect::<Result<Vec<_>, StateError>>()
    })
    .await;
    assert_eq!(found.len(), 8 * 8 * 6);
    for (names, filter) in found {
        assert_eq!(names, naive(&filter), "{filter:?}");
    }
}

#[tokio::test]
async fn pages_stay_true_while_records_come_and_go() {
    let names = with_records(|connection| {
        let filter =
            ListFilter { sort_by: SortBy::Name, is_ascending: true, limit: 2, ..ListFilter::default() };
        let first = list(connection, Kind::Endpoint, &filter)?;
        // The last one shown goes away, one comes before the position and one behind it.
        remove(connection, Kind::Endpoint, "Beta")?;
        insert(connection, Kind::Endpoint, &stored(&("aa", 1, 1, "")))?;
        insert(connection, Kind::Endpoint, &stored(&("cc", 1, 1, "")))?;
        let rest = paged(connection, &ListFilter { after: first.next.clone(), ..filter })?;
        Ok((first.records.into_iter().map(|record| record.name).collect::<Vec<_>>(), rest))
    })
    .await;
    assert_eq!(names.0, ["alpha", "Beta"]);
    assert_eq!(names.1, ["beta-2", "cc", "Delta-gam", "gamma"]);
}

#[tokio::test]
async fn names_are_taken_and_found_in_any_case() {
    let (taken, found, other, count) = with_records(|connection| {
        let taken = !insert(connection, Kind::Endpoint, &stored(&("BETA", 1, 1, "")))?;
        let found = find(connection, Kind::Endpoint, "bEtA")?.map(|record| record.name);
        let other = find(connection, Kind::Model, "Beta")?;
        Ok((taken, found, other, count(connection, Kind::Endpoint)?))
    })
    .await;
    assert!(taken);
    assert_eq!(found.as_deref(), Some("Beta"));
    assert_eq!((other, count), (None, RECORDS.len()));
}
