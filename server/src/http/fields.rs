//! The header fields of a request that mean something here, found in one pass over them: a look-up a field would hash
//! each name, and a usual request has fewer fields than there are names to look for.

use std::borrow::Cow;

use hyper::header::{HeaderMap, HeaderValue};

use crate::error::Error;

/// Opaque to us: echoed.
pub(super) const CUSTOM_ATTRIBUTES: &str = "x-amzn-sagemaker-custom-attributes";

/// A field that should stand once. Of two, one would have to be chosen, and a proxy might choose the other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Single<'a> {
    value: Option<&'a HeaderValue>,
    is_repeated: bool,
}

impl<'a> Single<'a> {
    pub(super) fn see(&mut self, value: &'a HeaderValue) {
        self.is_repeated = self.value.is_some();
        self.value = Some(value);
    }

    /// Its text.
    ///
    /// # Errors
    /// When it stands more than once, or is not text.
    pub(super) fn text(self, name: &'static str) -> Result<Option<&'a str>, Error> {
        if self.is_repeated {
            return Err(Error::Header { name, expected: "one field", found: "several".into() });
        }
        self.value.map(|value| text(value, name)).transpose()
    }

    /// Its bytes, when it is there.
    pub(super) fn value(self) -> Option<&'a HeaderValue> {
        self.value
    }
}

/// What a request's header fields say.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    headers: &'a HeaderMap,
    pub(super) content_type: Single<'a>,
    pub(super) content_encoding: Single<'a>,
    pub(super) custom_attributes: Single<'a>,
    accept: Single<'a>,
    /// `Transfer-Encoding` is there.
    pub(super) has_transfer_encoding: bool,
    /// `Expect` is there.
    pub(super) has_expect: bool,
    /// `Server-Timing` is there, whatever its value: the answer should have one.
    pub(super) wants_timing: bool,
}

impl<'a> Fields<'a> {
    /// Looks at each field once.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::empty(headers);
        for (name, value) in headers {
            fields.see(name.as_str(), value);
        }
        fields
    }

    /// Before any field was looked at.
    pub(super) fn empty(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            content_type: Single::default(),
            content_encoding: Single::default(),
            custom_attributes: Single::default(),
            accept: Single::default(),
            has_transfer_encoding: false,
            has_expect: false,
            wants_timing: false,
        }
    }

    /// Looks at one field.
    pub(super) fn see(&mut self, name: &str, value: &'a HeaderValue) {
        match name {
            "content-type" => self.content_type.see(value),
            "accept" => self.accept.see(value),
            "content-encoding" => self.content_encoding.see(value),
            CUSTOM_ATTRIBUTES => self.custom_attributes.see(value),
            "transfer-encoding" => self.has_transfer_encoding = true,
            "expect" => self.has_expect = true,
            "server-timing" => self.wants_timing = true,
            _ => {}
        }
    }

    /// `Accept`, whose fields are one list.
    ///
    /// # Errors
    /// When one of its fields is not text.
    pub(super) fn accept(&self) -> Result<Option<Cow<'a, str>>, Error> {
        const NAME: &str = "accept";
        if !self.accept.is_repeated {
            return Ok(self.accept.text(NAME)?.map(Cow::Borrowed));
        }
        let texts: Result<Vec<_>, _> =
            self.headers.get_all(NAME).iter().map(|value| text(value, NAME)).collect();
        Ok(Some(Cow::Owned(texts?.join(", "))))
    }
}

fn text<'a>(value: &'a HeaderValue, name: &'static str) -> Result<&'a str, Error> {
    value.to_str().map_err(|_| Error::Header { name, expected: "visible ASCII", found: "other bytes".into() })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
        let field = |&(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_content_type_stands_once_and_is_ascii() {
        let check = |fields: &[(&'static str, &[u8])], expected: Result<Option<&str>, &str>| {
            let headers = headers(fields);
            let found = Fields::of(&headers).content_type.text("content-type");
            assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
        };
        check(&[], Ok(None));
        check(&[("accept", b"text/csv")], Ok(None));
        check(&[("content-type", b"text/csv")], Ok(Some("text/csv")));
        check(
            &[("content-type", b"text/csv"), ("content-type", b"text/csv")],
            Err("header content-type: expected one field, found several"),
        );
        check(
            &[("content-type", b"text/\xff")],
            Err("header content-type: expected visible ASCII, found other bytes"),
        );
    }

    #[test]
    fn accept_is_one_list_over_all_its_fields() {
        let check = |fields: &[(&'static str, &[u8])], expected: Option<&str>| {
            let headers = headers(fields);
            assert_eq!(Fields::of(&headers).accept().unwrap().as_deref(), expected);
        };
        check(&[], None);
        check(&[("accept", b"text/csv")], Some("text/csv"));
        check(&[("accept", b"text/csv"), ("accept", b"*/*;q=0.1")], Some("text/csv, */*;q=0.1"));
    }

    #[test]
    fn the_other_fields_are_there_or_not() {
        let headers = headers(&[
            ("transfer-encoding", b"chunked"),
            ("server-timing", b"*"),
            (CUSTOM_ATTRIBUTES, b"a=1"),
            ("x-amzn-sagemaker-inference-id", b"7"),
        ]);
        let fields = Fields::of(&headers);
        assert!(fields.has_transfer_encoding && fields.wants_timing && !fields.has_expect);
        assert_eq!(fields.custom_attributes.value().unwrap(), "a=1");
    }
}
