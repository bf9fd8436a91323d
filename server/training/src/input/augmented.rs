//! Augmented manifests: JSON Lines of which some members are data, and some name objects.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::objects::read;
use super::{ITEMS_MAX, Object, failed, object_at};
use crate::failure::Failure;
use crate::stores::{Place, Stores};

/// The largest augmented manifest. Reason: a million lines of 256 bytes; its chosen members are held in memory.
const BYTES_MAX: u64 = 256 << 20;

/// What ends the name of a member that names an object.
const REFERENCE_SUFFIX: &str = "-ref";

/// A line: its chosen members, in the order in which they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// They.
    pub(crate) parts: Vec<Part>,
}

/// A member of a line.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// The bytes of an object.
    Object(Object),
    /// The member's JSON text.
    Text(Bytes),
}

/// The lines of the augmented manifest at `uri`.
pub(crate) async fn entries(
    stores: &dyn Stores,
    uri: &str,
    attributes: &[String],
) -> Result<Vec<Entry>, Failure> {
    let place = Place::parse(uri).ok_or_else(|| failed(&uri, &"expected s3://bucket/key"))?;
    if attributes.is_empty() {
        return Err(failed(&uri, &"expected AttributeNames, found none"));
    }
    let bytes = read(stores, place, BYTES_MAX).await?;
    let mut entries = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |reason: String| failed(&format!("{uri}, line {}", index + 1), &reason);
        if entries.len() == ITEMS_MAX {
            return Err(wrong(format!("expected at most {ITEMS_MAX} lines")));
        }
        let text = std::str::from_utf8(line).map_err(|error| wrong(error.to_string()))?;
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| wrong(format!("expected a JSON object, found {error}")))?;
        entries.push(entry(stores, &object, attributes).await.map_err(|failure| wrong(failure.to_string()))?);
    }
    if entries.is_empty() {
        return Err(failed(&uri, &"expected at least one line, found none"));
    }
    Ok(entries)
}

async fn entry(
    stores: &dyn Stores,
    line: &Map<String, Value>,
    attributes: &[String],
) -> Result<Entry, Failure> {
    let mut parts = Vec::with_capacity(attributes.len());
    for name in attributes {
        let value = line
            .get(name)
            .ok_or_else(|| Failure::Client(format!("expected a member {name:?}, found none")))?;
        let part = if name.ends_with(REFERENCE_SUFFIX) {
            let place = value.as_str().and_then(Place::parse);
            let place = place.ok_or_else(|| {
                Failure::Client(format!("{name}: expected \"s3://bucket/key\", found {value}"))
            })?;
            Part::Object(object_at(stores, place).await?)
        } else {
            Part::Text(Bytes::from(value.to_string()))
        };
        parts.push(part);
    }
    Ok(Entry { parts })
}
