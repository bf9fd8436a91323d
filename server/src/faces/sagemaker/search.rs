//! `Search`: the resources whose descriptions fit an expression, page by page.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::expression::{self, Expression};
use super::refusal::Refusal;
use super::{description, lists, models, required, training_jobs};
use crate::control::record::{self, Kind, Record};
use crate::control::tags;
use crate::faces::aws::Call;
use crate::platform::Platform;
use crate::rt;

/// A resource that may be found.
#[derive(Debug)]
struct Found {
    /// What it is, with its tags.
    document: Value,
    position: Position,
}

/// Where a resource stands in the order that was asked for; a token holds that of the last one shown.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
struct Position {
    key: Key,
    name: String,
}

/// What resources are ordered by: those without come first.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
enum Key {
    None,
    Number(f64),
    Text(String),
}

impl Key {
    fn of(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Number(number)) => Self::Number(number.as_f64().unwrap_or(0.0)),
            Some(Value::String(text)) => Self::Text(text.clone()),
            Some(Value::Bool(flag)) => Self::Text(flag.to_string()),
            _ => Self::None,
        }
    }
}

pub(super) async fn search(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let expression = Expression::parse(call.input.get("SearchExpression"))?;
    let after =
        call.input.get("NextToken").and_then(Value::as_str).map(lists::decode::<Position>).transpose()?;
    let kind = match required(&call.input, "Resource")? {
        "Endpoint" => Kind::Endpoint,
        "Model" => Kind::Model,
        "TrainingJob" => Kind::TrainingJob,
        // There are none of the others.
        _ => return Ok(json!({"Results": []})),
    };
    let read = move |connection: &rusqlite::Transaction<'_>| {
        let records = record::all(connection, kind)?;
        let tagged = records.into_iter().map(|record| Ok((tags::of(connection, &record.arn)?, record)));
        tagged.collect::<Result<Vec<_>, Refusal>>()
    };
    let records = platform.database.read(read).await?;
    let input = call.input.clone();
    // Thousands of descriptions take a while: not on the thread of the state, and not on a runtime.
    rt::blocking(move || {
        let found = records.into_iter().map(|(tags, record)| found(record, kind, &tags.to_json(), &input));
        let mut found = found.collect::<Result<Vec<_>, Refusal>>()?;
        found.retain(|found| expression.is_match(&found.document));
        Ok(page(found, kind, &input, after.as_ref()))
    })
    .await
}

fn found(record: Record, kind: Kind, tags: &Value, input: &Map<String, Value>) -> Result<Found, Refusal> {
    let (name, modified) = (record.name.clone(), record.modified.to_json());
    let mut document = match kind {
        Kind::Endpoint => description::describe_endpoint(&record)?,
        Kind::TrainingJob => training_jobs::found(&record)?,
        _ => models::description(record),
    };
    document.insert("Tags".into(), tags.clone());
    let document = Value::Object(document);
    let sort_by = input.get("SortBy").and_then(Value::as_str).unwrap_or("LastModifiedTime");
    let key = match expression::look_up(&document, sort_by).first() {
        None if sort_by == "LastModifiedTime" => Key::of(Some(&modified)),
        first => Key::of(first.copied()),
    };
    Ok(Found { document, position: Position { key, name } })
}

fn page(mut found: Vec<Found>, kind: Kind, input: &Map<String, Value>, after: Option<&Position>) -> Value {
    let is_ascending = input.get("SortOrder").and_then(Value::as_str) == Some("Ascending");
    let order = |a: &Position, b: &Position| {
        let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        if is_ascending { order } else { order.reverse() }
    };
    found.retain(|found| after.is_none_or(|after| order(after, &found.position) == Ordering::Less));
    found.sort_by(|a, b| order(&a.position, &b.position));
    let size = lists::page_size(input);
    let has_more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| has_more).map(|last| lists::encode(&last.position));
    let results: Value = found.into_iter().map(|found| result(found.document, kind)).collect();
    let mut answer = json!({"Results": results});
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    answer
}

/// A model is found as the dashboard shows it, an endpoint without what its search record leaves out.
fn result(document: Value, kind: Kind) -> Value {
    match (kind, document) {
        (Kind::Endpoint, Value::Object(mut endpoint)) => {
            for member in [
                "AsyncInferenceConfig",
                "LastDeploymentConfig",
                "PendingDeploymentSummary",
                "MetricsConfig",
                "CrossRegionTrafficConfig",
            ] {
                endpoint.remove(member);
            }
            json!({"Endpoint": endpoint})
        }
        (Kind::TrainingJob, job) => json!({"TrainingJob": job}),
        (_, model) => json!({"Model": {"Model": model}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(key: Key, name: &str) -> Found {
        Found { document: json!({"ModelName": name}), position: Position { key, name: name.to_owned() } }
    }

    /// Pages of two, as names with a bar between the pages.
    fn paged(order: &str) -> String {
        let input = json!({"MaxResults": 2, "SortOrder": order});
        let input = input.as_object().expect("an object");
        let (mut pages, mut after) = (Vec::new(), None::<Position>);
        loop {
            let all = vec![
                at(Key::Number(2.0), "b"),
                at(Key::Text("x".into()), "a"),
                at(Key::None, "d"),
                at(Key::Number(2.0), "c"),
                at(Key::Number(-1.0), "e"),
            ];
            let answer = page(all, Kind::Model, input, after.as_ref());
            let results = answer["Results"].as_array().expect("results");
            let names = results.iter().filter_map(|result| result["Model"]["Model"]["ModelName"].as_str());
            pages.push(names.collect::<String>());
            match answer["NextToken"].as_str() {
                Some(token) => after = Some(lists::decode(token).expect("its own token")),
                None => return pages.join("|"),
            }
        }
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        assert_eq!(paged("Ascending"), "de|bc|a");
        assert_eq!(paged("Descending"), "ac|be|d");
    }
}
