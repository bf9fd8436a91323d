//! Conditions of requests, held against the object that is there.

use crate::error::{Error, Result};
use crate::record::ObjectRecord;

/// An entity tag in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// `*`: any object.
    Any,
    /// This one, without quotes.
    Is(String),
}

impl Tag {
    fn fits(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(tag) => tag == etag,
        }
    }
}

/// What must hold for a request to be done. Times are in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The object has this tag.
    pub if_match: Option<Tag>,
    /// It has not.
    pub if_none_match: Option<Tag>,
    /// It is newer.
    pub if_modified_since: Option<i64>,
    /// It is not.
    pub if_unmodified_since: Option<i64>,
}

impl Conditions {
    /// That nothing is there yet.
    pub fn absent() -> Self {
        Self { if_none_match: Some(Tag::Any), ..Self::default() }
    }

    /// That the object has this tag.
    pub fn matching(etag: &str) -> Self {
        Self { if_match: Some(Tag::Is(etag.to_owned())), ..Self::default() }
    }

    /// Of a read: a tag counts before a time.
    ///
    /// # Errors
    /// [`Error::Precondition`] or [`Error::NotModified`].
    pub fn check_read(&self, object: &ObjectRecord) -> Result<()> {
        self.check_required(object)?;
        if self.is_unchanged(object) {
            return Err(Error::NotModified { etag: object.etag.clone(), modified_ms: object.modified_ms });
        }
        Ok(())
    }

    /// Of the source of a copy, where nothing is "not modified".
    ///
    /// # Errors
    /// [`Error::Precondition`].
    pub fn check_source(&self, object: &ObjectRecord) -> Result<()> {
        self.check_required(object)?;
        if self.is_unchanged(object) {
            return Err(Error::Precondition("If-None-Match"));
        }
        Ok(())
    }

    /// Of a write over `found`.
    ///
    /// # Errors
    /// [`Error::Precondition`], or [`Error::NoKey`] where a tag is asked of nothing.
    pub fn check_write(&self, key: &str, found: Option<&ObjectRecord>) -> Result<()> {
        match (&self.if_match, found) {
            (Some(_), None) => return Err(Error::NoKey(key.to_owned())),
            (Some(tag), Some(object)) if !tag.fits(&object.etag) => {
                return Err(Error::Precondition("If-Match"));
            }
            _ => {}
        }
        match (&self.if_none_match, found) {
            (Some(tag), Some(object)) if tag.fits(&object.etag) => Err(Error::Precondition("If-None-Match")),
            _ => Ok(()),
        }
    }

    fn check_required(&self, object: &ObjectRecord) -> Result<()> {
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tag), _) if !tag.fits(&object.etag) => Err(Error::Precondition("If-Match")),
            (None, Some(since)) if seconds(object.modified_ms) > seconds(since) => {
                Err(Error::Precondition("If-Unmodified-Since"))
            }
            _ => Ok(()),
        }
    }

    fn is_unchanged(&self, object: &ObjectRecord) -> bool {
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tag), _) => tag.fits(&object.etag),
            (None, Some(since)) => seconds(object.modified_ms) <= seconds(since),
            _ => false,
        }
    }
}

/// HTTP's dates have no fractions, so a client can only hold an object's age to the second.
fn seconds(ms: i64) -> i64 {
    ms.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ObjectRecord {
        let details = crate::record::Details::default();
        ObjectRecord { generation: 1, size: 1, modified_ms: 10_400, etag: "a".into(), details }
    }

    fn conditions(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
        if_modified_since: Option<i64>,
        if_unmodified_since: Option<i64>,
    ) -> Conditions {
        let tag = |text: &str| if text == "*" { Tag::Any } else { Tag::Is(text.into()) };
        let (if_match, if_none_match) = (if_match.map(tag), if_none_match.map(tag));
        Conditions { if_match, if_none_match, if_modified_since, if_unmodified_since }
    }

    fn check_read(given: &Conditions, expected: &str) {
        let found = match given.check_read(&object()) {
            Ok(()) => "read",
            Err(Error::NotModified { .. }) => "not modified",
            Err(Error::Precondition(_)) => "failed",
            Err(_) => "other",
        };
        assert_eq!(found, expected, "{given:?}");
    }

    #[test]
    fn reads_heed_tags_before_times() {
        check_read(&conditions(None, None, None, None), "read");
        check_read(&conditions(Some("a"), None, None, None), "read");
        check_read(&conditions(Some("*"), None, None, None), "read");
        check_read(&conditions(Some("b"), None, None, None), "failed");
        check_read(&conditions(None, Some("a"), None, None), "not modified");
        check_read(&conditions(None, Some("b"), None, None), "read");
        check_read(&conditions(None, None, Some(10_000), None), "not modified");
        check_read(&conditions(None, None, Some(9_000), None), "read");
        check_read(&conditions(None, None, None, Some(10_000)), "read");
        check_read(&conditions(None, None, None, Some(9_000)), "failed");
        check_read(&conditions(Some("a"), None, None, Some(9_000)), "read");
        check_read(&conditions(None, Some("b"), Some(10_000), None), "read");
    }

    #[test]
    fn writes_heed_what_is_there() {
        let write = |given: Conditions, found: bool| {
            let object = object();
            given.check_write("k", found.then_some(&object)).is_ok()
        };
        assert!(write(Conditions::default(), true));
        assert!(write(Conditions::absent(), false));
        assert!(!write(Conditions::absent(), true));
        assert!(write(Conditions::matching("a"), true));
        assert!(!write(Conditions::matching("b"), true));
        assert!(!write(Conditions::matching("a"), false));
    }
}
