//! The data of a channel: which objects there are, which of them a host gets, and their bytes.

mod augmented;
mod download;
mod objects;
mod order;

use augmented::entries;
pub(crate) use augmented::{Entry, Part};
pub(crate) use download::{Budget, download};
pub(crate) use objects::{Object, objects_below};
use objects::{object_at, objects_of};
pub(crate) use order::order;

use crate::channel::{Channel, Source};
use crate::failure::Failure;
use crate::stores::Stores;

/// Objects of a channel, and lines of an augmented manifest. Reason: their names are held in memory, some hundred bytes each.
const ITEMS_MAX: usize = 1_000_000;

/// What a channel consists of: what is shuffled and shared among hosts.
#[derive(Debug, Clone)]
pub(crate) enum Items {
    /// Objects, sorted by key.
    Objects(Vec<Object>),
    /// Lines of an augmented manifest, in their order.
    Entries(Vec<Entry>),
}

impl Items {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Objects(objects) => objects.len(),
            Self::Entries(entries) => entries.len(),
        }
    }
}

/// What `channel` consists of.
pub(crate) async fn items(stores: &dyn Stores, channel: &Channel) -> Result<Items, Failure> {
    match &channel.source {
        Source::Augmented { uri, attributes } => Ok(Items::Entries(entries(stores, uri, attributes).await?)),
        Source::Prefix(_) | Source::Manifest(_) => {
            Ok(Items::Objects(objects_of(stores, &channel.source).await?))
        }
    }
}

/// The failure of a fetch of what is at `uri`.
fn failed(uri: &dyn std::fmt::Display, reason: &dyn std::fmt::Display) -> Failure {
    Failure::Client(format!("Data download failed: {uri}: {reason}"))
}
