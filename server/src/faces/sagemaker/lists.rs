//! `ListModels`, `ListEndpointConfigs`, `ListEndpoints`, `ListTransformJobs`, `ListTrainingJobs`: filters, orders, and tokens that
//! hold a position.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wire::Timestamp;

use super::refusal::Refusal;
use super::resource::{arn_member, name_member};
use super::{training_jobs, transform_jobs};
use crate::control::record::{self, Kind, ListFilter, Record, SortBy};
use crate::faces::aws::Call;
use crate::platform::Platform;

/// Resources of a page where the request does not say. Reason: as many as may be asked for.
pub(super) const PAGE_DEFAULT: usize = 100;

/// A position in a list, and the order in which it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    kind: String,
    sort_by: String,
    is_ascending: bool,
    key: String,
    name: String,
}

pub(super) async fn list(platform: &Arc<Platform>, call: &Call, kind: Kind) -> Result<Value, Refusal> {
    let filter = filter(&call.input, kind)?;
    let (sort_by, is_ascending) = (filter.sort_by, filter.is_ascending);
    let read = move |connection: &rusqlite::Transaction<'_>| record::list(connection, kind, &filter);
    let page = platform.database.read(read).await?;
    let summaries = page.records.into_iter().map(|record| summary(record, kind));
    let mut answer = json!({list_member(kind): summaries.collect::<Result<Vec<_>, _>>()?});
    if let Some((key, name)) = page.next {
        let (kind, sort_by) = (kind.as_str().to_owned(), format!("{sort_by:?}"));
        answer["NextToken"] = encode(&Token { kind, sort_by, is_ascending, key, name }).into();
    }
    Ok(answer)
}

/// Of training jobs, those that a warm pool or a training plan is of: there are none.
pub(super) async fn list_training_jobs(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    if ["WarmPoolStatusEquals", "TrainingPlanArnEquals"].iter().any(|filter| call.input.contains_key(*filter))
    {
        refuse_token(call)?;
        return Ok(json!({list_member(Kind::TrainingJob): []}));
    }
    list(platform, call, Kind::TrainingJob).await
}

const fn list_member(kind: Kind) -> &'static str {
    match kind {
        Kind::EndpointConfig => "EndpointConfigs",
        Kind::Endpoint => "Endpoints",
        Kind::TransformJob => "TransformJobSummaries",
        Kind::TrainingJob => "TrainingJobSummaries",
        _ => "Models",
    }
}

fn summary(record: Record, kind: Kind) -> Result<Map<String, Value>, Refusal> {
    let mut summary = match kind {
        Kind::TransformJob => transform_jobs::summary(&record)?,
        Kind::TrainingJob => training_jobs::summary(&record)?,
        _ => Map::new(),
    };
    let mut say = |member: &str, value: Value| drop(summary.insert(member.to_owned(), value));
    say(name_member(kind), record.name.into());
    say(arn_member(kind), record.arn.into());
    say("CreationTime", record.created.to_json());
    if kind == Kind::Endpoint {
        say("LastModifiedTime", record.modified.to_json());
        say("EndpointStatus", record.status.into());
    }
    Ok(summary)
}

fn filter(input: &Map<String, Value>, kind: Kind) -> Result<ListFilter, Refusal> {
    let text = |member: &str| input.get(member).and_then(Value::as_str).map(str::to_owned);
    let time = |member: &str| input.get(member).and_then(Value::as_f64).map(Timestamp::from_seconds);
    let mut filter = ListFilter {
        sort_by: sort_by(text("SortBy").as_deref()),
        is_ascending: text("SortOrder").as_deref() == Some("Ascending"),
        name_contains: text("NameContains"),
        status_equals: text("StatusEquals"),
        created_before: time("CreationTimeBefore"),
        created_after: time("CreationTimeAfter"),
        modified_before: time("LastModifiedTimeBefore"),
        modified_after: time("LastModifiedTimeAfter"),
        limit: page_size(input),
        after: None,
    };
    if let Some(token) = input.get("NextToken").and_then(Value::as_str) {
        let found: Token = decode(token)?;
        let is_of_this_list = found.kind == kind.as_str()
            && found.sort_by == format!("{:?}", filter.sort_by)
            && found.is_ascending == filter.is_ascending;
        if !is_of_this_list {
            return Err(unknown_token());
        }
        filter.after = Some((found.key, found.name));
    }
    Ok(filter)
}

fn sort_by(text: Option<&str>) -> SortBy {
    match text {
        Some("Name") => SortBy::Name,
        Some("Status") => SortBy::Status,
        _ => SortBy::CreationTime,
    }
}

/// `MaxResults`, which its shape holds to 1 to 100.
pub(super) fn page_size(input: &Map<String, Value>) -> usize {
    let asked = input.get("MaxResults").and_then(Value::as_u64);
    asked
        .and_then(|asked| usize::try_from(asked).ok())
        .map_or(PAGE_DEFAULT, |asked| asked.clamp(1, PAGE_DEFAULT))
}

/// Opaque to clients: nothing is promised of what is inside.
pub(super) fn encode(token: &impl Serialize) -> String {
    let text = serde_json::to_vec(token).expect("a token is strings and flags");
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn decode<T: DeserializeOwned>(token: &str) -> Result<T, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(token).map_err(|_| unknown_token())?;
    #[expect(clippy::disallowed_methods, reason = "the shape of a token ends at 8,192 characters")]
    serde_json::from_slice(&text).map_err(|_| unknown_token())
}

pub(super) fn unknown_token() -> Refusal {
    Refusal::validation("NextToken: expected a token of the same list in the same order, found another")
}

/// A list of one page gives no token, and so knows none.
pub(super) fn refuse_token(call: &Call) -> Result<(), Refusal> {
    if call.input.contains_key("NextToken") { Err(unknown_token()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: &Value, kind: Kind) -> Result<ListFilter, Refusal> {
        filter(input.as_object().expect("an object"), kind)
    }

    #[test]
    fn filters_are_read() {
        let read = of(&json!({}), Kind::Model).expect("a filter");
        assert_eq!((read.sort_by, read.is_ascending, read.limit), (SortBy::CreationTime, false, 100));
        let input = json!({"SortBy": "Name", "SortOrder": "Ascending", "NameContains": "x", "StatusEquals": "Failed",
            "CreationTimeBefore": 1.5, "LastModifiedTimeAfter": 2, "MaxResults": 7});
        let read = of(&input, Kind::Endpoint).expect("a filter");
        assert_eq!((read.sort_by, read.is_ascending, read.limit), (SortBy::Name, true, 7));
        assert_eq!(
            (read.created_before, read.modified_after),
            (Some(Timestamp(1500)), Some(Timestamp(2000)))
        );
        assert_eq!(
            (read.name_contains.as_deref(), read.status_equals.as_deref()),
            (Some("x"), Some("Failed"))
        );
    }

    #[test]
    fn a_token_is_of_one_list_and_order() {
        let token = Token {
            kind: "model".into(),
            sort_by: "Name".into(),
            is_ascending: true,
            key: String::new(),
            name: "m".into(),
        };
        let input =
            |token: &str, order: &str| json!({"SortBy": "Name", "SortOrder": order, "NextToken": token});
        let text = encode(&token);
        let read = of(&input(&text, "Ascending"), Kind::Model).expect("its own token");
        assert_eq!(read.after, Some((String::new(), "m".into())));
        assert_eq!(of(&input(&text, "Descending"), Kind::Model).unwrap_err(), unknown_token());
        assert_eq!(of(&input(&text, "Ascending"), Kind::Endpoint).unwrap_err(), unknown_token());
        for foreign in ["", "x", "e30", "bm8", "%%", "eyJraW5kIjoxfQ"] {
            assert_eq!(
                of(&input(foreign, "Ascending"), Kind::Model).unwrap_err(),
                unknown_token(),
                "{foreign}"
            );
        }
    }
}
