//! Tags: keys and values beside a resource, by its ARN.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::StateError;

/// Tags of one resource. Reason: as many as AWS takes.
pub const TAGS_MAX: usize = 50;

/// Keys that begin so belong to AWS, in any case.
const RESERVED_PREFIX: &str = "aws:";

/// Why tags are not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// A key of AWS's own.
    #[error("tag key {0:?}: keys that begin with \"aws:\" are reserved")]
    Reserved(String),
    /// A key that stands twice in one request.
    #[error("tag key {0:?}: expected once, found twice")]
    Repeated(String),
    /// Too many of them.
    #[error("{arn}: expected at most {TAGS_MAX} tags, found {found}")]
    TooMany {
        /// Of which resource.
        arn: String,
        /// How many there would be.
        found: usize,
    },
    /// Not an array of keys and values.
    #[error("Tags: expected an array of objects of Key and Value, found {0}")]
    Form(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<rusqlite::Error> for TagError {
    fn from(error: rusqlite::Error) -> Self {
        Self::State(error.into())
    }
}

/// Keys and their values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    /// From a `Tags` member: `[{"Key": …, "Value": …}, …]`; none when there is no such member.
    ///
    /// # Errors
    /// For reserved and repeated keys.
    pub fn parse(member: Option<&Value>) -> Result<Self, TagError> {
        let mut tags = BTreeMap::new();
        for tag in member.into_iter().flat_map(|tags| tags.as_array().map_or(&[] as &[Value], Vec::as_slice))
        {
            let text = |member: &str| tag.get(member).and_then(Value::as_str).map(str::to_owned);
            let (Some(key), Some(value)) = (text("Key"), text("Value")) else {
                return Err(TagError::Form(tag.to_string()));
            };
            let start = key.get(..RESERVED_PREFIX.len());
            if start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX)) {
                return Err(TagError::Reserved(key));
            }
            if tags.contains_key(&key) {
                return Err(TagError::Repeated(key));
            }
            tags.insert(key, value);
        }
        Ok(Self(tags))
    }

    /// As a `Tags` member, by key.
    pub fn to_json(&self) -> Value {
        self.0.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
    }
}

/// Adds tags to a resource; those of the same keys are replaced.
///
/// # Errors
/// When there would be too many: the transaction is then not to be committed.
pub fn put(connection: &Connection, arn: &str, tags: &Tags) -> Result<(), TagError> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO tags (arn, key, value) VALUES (?1, ?2, ?3)")?;
    for (key, value) in &tags.0 {
        statement.execute(params![arn, key, value])?;
    }
    let mut statement = connection.prepare_cached("SELECT count(*) FROM tags WHERE arn = ?1")?;
    let found: i64 = statement.query_row(params![arn], |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > TAGS_MAX { Err(TagError::TooMany { arn: arn.to_owned(), found }) } else { Ok(()) }
}

/// The tags of a resource.
///
/// # Errors
/// When the state cannot be read.
pub fn of(connection: &Connection, arn: &str) -> Result<Tags, StateError> {
    let mut statement = connection.prepare_cached("SELECT key, value FROM tags WHERE arn = ?1")?;
    let rows = statement.query_map(params![arn], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Tags(rows.collect::<Result<_, _>>()?))
}

/// Takes tags from a resource; keys that it does not have are no error.
///
/// # Errors
/// When the state cannot be written.
pub fn remove(connection: &Connection, arn: &str, keys: &[String]) -> Result<(), StateError> {
    let mut statement = connection.prepare_cached("DELETE FROM tags WHERE arn = ?1 AND key = ?2")?;
    for key in keys {
        statement.execute(params![arn, key])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Database;

    const ARN: &str = "arn:aws:sagemaker:us-east-1:000000000000:model/m";

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        Tags(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn check_refused(member: &Value, expected: &str) {
        let error = Tags::parse(Some(member)).expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn tags_are_read_and_written() {
        let member = json!([{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}]);
        let read = Tags::parse(Some(&member)).expect("tags");
        assert_eq!(read, tags(&[("a", ""), ("b", "2")]));
        assert_eq!(read.to_json(), json!([{"Key": "a", "Value": ""}, {"Key": "b", "Value": "2"}]));
        assert_eq!(Tags::parse(None).expect("none"), Tags::default());
        check_refused(&json!([{"Key": "AWS:x", "Value": ""}]), "reserved");
        check_refused(&json!([{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]), "found twice");
        check_refused(&json!([{"Key": "k"}]), "Key and Value");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn tags_are_added_replaced_removed_and_limited() {
        let database = Database::in_memory().expect("a database");
        let change = |tags: Tags, gone: Vec<String>| {
            database.transact(move |connection| {
                put(connection, ARN, &tags)?;
                remove(connection, ARN, &gone)?;
                Ok::<_, TagError>(of(connection, &ARN.to_uppercase())?)
            })
        };
        let kept = change(tags(&[("a", "1"), ("b", "2")]), vec![]).await.expect("room");
        assert_eq!(kept, tags(&[("a", "1"), ("b", "2")]));
        let kept = change(tags(&[("b", "3"), ("B", "4")]), vec!["a".into(), "x".into()]).await.expect("room");
        assert_eq!(kept, tags(&[("B", "4"), ("b", "3")]));
        let many = Tags((0..49).map(|i| (format!("k{i}"), String::new())).collect());
        let error = change(many, vec![]).await.expect_err("51 tags");
        assert!(error.to_string().ends_with("at most 50 tags, found 51"), "{error}");
        let kept = change(Tags::default(), vec![]).await.expect("room");
        assert_eq!(kept.0.len(), 2, "a refused change leaves what was there");
    }
}
