//! What a request says of itself: the parser of `Authorization` headers and of presigned queries. Foreign bytes: parsed or
//! refused, never guessed.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};
use percent_encoding::percent_decode_str;
use wire::Timestamp;

use crate::canonical::pairs;
use crate::date::Moment;
use crate::digest::{self, Digest};
use crate::refusal::Refusal;
use crate::split;

/// The one algorithm that is served.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The end of every credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// The longest `Authorization` that is read. Reason: a key, a scope and the names of forty headers take a fifth of it.
pub const AUTHORIZATION_BYTES_MAX: usize = 8 << 10;

/// The longest access key id, region or service. Reason: IAM's own limit of key ids; the others are shorter.
const NAME_BYTES_MAX: usize = 128;

/// The longest life of a presigned URL. Reason: S3's own: a week.
const EXPIRES_S_MAX: u32 = 604_800;

/// `Authorization` and where it stands in messages.
const HEADER: &str = "header authorization";
const QUERY: &str = "query";

/// How a request says who it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<'a> {
    /// Not at all.
    Nothing,
    /// By a Signature Version 4.
    Signature(Signature<'a>),
    /// By a presigned URL of S3's older kind.
    PresignedV2(PresignedV2<'a>),
    /// By `Authorization: Bearer`.
    Bearer(&'a str),
}

/// A Signature Version 4, and what it says that it signs.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Whose.
    pub key_id: Cow<'a, str>,
    /// Of which region.
    pub region: Cow<'a, str>,
    /// For which service, by its signing name.
    pub service: Cow<'a, str>,
    /// Lower case, ascending, joined by `;`.
    pub signed_headers: Cow<'a, str>,
    /// Of when.
    pub moment: Moment,
    /// The signature.
    pub signature: Digest,
    /// The session token, where the key has one.
    pub token: Option<Cow<'a, str>>,
    /// How long a presigned URL is good; `None` for a signature in the header.
    pub expires_s: Option<u32>,
}

/// A presigned URL of Signature Version 2.
#[derive(Debug, PartialEq, Eq)]
pub struct PresignedV2<'a> {
    /// Whose.
    pub key_id: Cow<'a, str>,
    /// The signature in base64.
    pub signature: Cow<'a, str>,
    /// Until when it is good, in seconds since 1970, as it is written.
    pub expires: Cow<'a, str>,
    /// The same, read.
    pub until: Timestamp,
    /// The session token, where the key has one.
    pub token: Option<Cow<'a, str>>,
}

impl<'a> Claim<'a> {
    /// What the head of a request says.
    ///
    /// # Errors
    /// When it says something that is no claim, or two.
    pub fn of(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Self, Refusal> {
        let in_query = match query {
            Some(query) => Presigned::of(query)?.claim()?,
            None => Self::Nothing,
        };
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(in_query) };
        if values.next().is_some() {
            return malformed(HEADER, "one", "several");
        }
        if in_query != Self::Nothing {
            return malformed(HEADER, "none beside a presigned query", "both");
        }
        let Ok(text) = value.to_str() else { return malformed(HEADER, "ASCII", "other bytes") };
        if text.len() > AUTHORIZATION_BYTES_MAX {
            return malformed(HEADER, "at most 8192 bytes", text.len().to_string());
        }
        match split::once(text, b' ') {
            Some((ALGORITHM, parts)) => Ok(Self::Signature(of_header(parts, headers)?)),
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Self::Bearer(token.trim())),
            Some((scheme, _)) => Err(Refusal::Unsupported(shortened(scheme))),
            None => Err(Refusal::Unsupported(shortened(text))),
        }
    }
}

fn malformed<T>(place: &'static str, expected: &'static str, found: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Malformed { place, expected, found: found.into() })
}

/// Foreign text, short and printable.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(64).collect()
}

/// `Credential=…, SignedHeaders=…, Signature=…`, in any order, each once.
fn of_header<'a>(parts: &'a str, headers: &'a HeaderMap) -> Result<Signature<'a>, Refusal> {
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in split::parts(parts, b',') {
        let Some((name, value)) = split::once(part.trim_matches(' '), b'=') else {
            return malformed(HEADER, "Credential=, SignedHeaders= and Signature=", shortened(part));
        };
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return malformed(HEADER, "Credential=, SignedHeaders= and Signature=", shortened(name)),
        };
        if place.replace(value).is_some() {
            return malformed(HEADER, "each part once", format!("{name} twice"));
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature)
    else {
        return malformed(HEADER, "Credential=, SignedHeaders= and Signature=", "fewer");
    };
    let moment = moment_of(headers)?;
    let token = one(headers, "x-amz-security-token")?.map(Cow::Borrowed);
    let credential = Cow::Borrowed(credential);
    Fields { place: HEADER, credential, signed_headers: signed_headers.into(), signature, moment, token }
        .check(None)
}

/// The request's time: `X-Amz-Date`, else `Date`.
fn moment_of(headers: &HeaderMap) -> Result<Moment, Refusal> {
    const EXPECTED: &str = "a time such as 20261124T095046Z";
    if let Some(text) = one(headers, "x-amz-date")? {
        return Moment::parse(text)
            .map_or_else(|| malformed("header x-amz-date", EXPECTED, shortened(text)), Ok);
    }
    match one(headers, DATE.as_str())? {
        Some(text) => Moment::parse(text)
            .or_else(|| Moment::parse_http(text))
            .map_or_else(|| malformed("header date", EXPECTED, shortened(text)), Ok),
        None => malformed("header x-amz-date", EXPECTED, "none"),
    }
}

/// The one value of a header; `None` when there is none.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return malformed("header", "one of each name", format!("several {name}"));
    }
    value
        .to_str()
        .map_or_else(|_| malformed("header", "ASCII", format!("other bytes in {name}")), |v| Ok(Some(v)))
}

/// The parts of a signature, before they are checked.
struct Fields<'a> {
    place: &'static str,
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: &'a str,
    moment: Moment,
    token: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn check(self, expires_s: Option<u32>) -> Result<Signature<'a>, Refusal> {
        let place = self.place;
        let Some(signature) = digest::from_hex(self.signature.as_bytes()) else {
            return malformed(
                place,
                "a signature of 64 lower-case hexadecimal digits",
                shortened(self.signature),
            );
        };
        let Some([key_id, day, region, service]) = scope(&self.credential) else {
            let found = shortened(&self.credential);
            return malformed(place, "a credential KEY/DAY/REGION/SERVICE/aws4_request", found);
        };
        if day != self.moment.day() {
            let found = shortened(&day);
            return Err(Refusal::WrongScope { expected: format!("the day {}", self.moment.day()), found });
        }
        check_names(place, &self.signed_headers)?;
        let Self { signed_headers, moment, token, .. } = self;
        Ok(Signature { key_id, region, service, signed_headers, moment, signature, token, expires_s })
    }
}

/// `KEY/DAY/REGION/SERVICE` of a credential.
fn scope<'a>(credential: &Cow<'a, str>) -> Option<[Cow<'a, str>; 4]> {
    fn four(text: &str) -> Option<[&str; 4]> {
        let mut parts = split::parts(text, b'/');
        let four = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let ends = parts.next() == Some(TERMINATOR) && parts.next().is_none();
        let is_name = |part: &&str| {
            !part.is_empty()
                && part.len() <= NAME_BYTES_MAX
                && part.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (ends && four.iter().all(is_name)).then_some(four)
    }
    match credential {
        Cow::Borrowed(text) => four(text).map(|four| four.map(Cow::Borrowed)),
        Cow::Owned(text) => four(text).map(|four| four.map(|part| Cow::Owned(part.to_owned()))),
    }
}

/// Names of headers as they are signed: lower case, ascending, `host` among them.
fn check_names(place: &'static str, names: &str) -> Result<(), Refusal> {
    const EXPECTED: &str = "names of signed headers in lower case, ascending, `host` among them";
    let is_token = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b',';
    let (mut before, mut has_host) = ("", false);
    for name in split::parts(names, b';') {
        if name.is_empty() || !name.bytes().all(is_token) || name <= before {
            return malformed(place, EXPECTED, shortened(names));
        }
        has_host |= name == "host";
        before = name;
    }
    if has_host { Ok(()) } else { malformed(place, EXPECTED, shortened(names)) }
}

/// The parameters of a presigned URL, of both kinds.
#[derive(Debug, Default)]
struct Presigned<'a> {
    algorithm: Option<&'a str>,
    credential: Option<&'a str>,
    date: Option<&'a str>,
    expires: Option<&'a str>,
    signed_headers: Option<&'a str>,
    signature: Option<&'a str>,
    token: Option<&'a str>,
    v2_key_id: Option<&'a str>,
    v2_signature: Option<&'a str>,
    v2_expires: Option<&'a str>,
    v2_token: Option<&'a str>,
}

impl<'a> Presigned<'a> {
    fn of(query: &'a str) -> Result<Self, Refusal> {
        let mut found = Self::default();
        for (name, value) in pairs(query) {
            let place = match name {
                "X-Amz-Algorithm" => &mut found.algorithm,
                "X-Amz-Credential" => &mut found.credential,
                "X-Amz-Date" => &mut found.date,
                "X-Amz-Expires" => &mut found.expires,
                "X-Amz-SignedHeaders" => &mut found.signed_headers,
                "X-Amz-Signature" => &mut found.signature,
                "X-Amz-Security-Token" => &mut found.token,
                "AWSAccessKeyId" => &mut found.v2_key_id,
                "Signature" => &mut found.v2_signature,
                "Expires" => &mut found.v2_expires,
                "x-amz-security-token" => &mut found.v2_token,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return malformed(QUERY, "each parameter of a signature once", format!("{name} twice"));
            }
        }
        Ok(found)
    }

    fn claim(&self) -> Result<Claim<'a>, Refusal> {
        if self.signature.is_some() || self.algorithm.is_some() || self.credential.is_some() {
            return self.v4().map(Claim::Signature);
        }
        if self.v2_signature.is_some() || self.v2_key_id.is_some() {
            return self.v2().map(Claim::PresignedV2);
        }
        Ok(Claim::Nothing)
    }

    fn v4(&self) -> Result<Signature<'a>, Refusal> {
        const ALL: &str = "X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders and -Signature";
        let (
            Some(algorithm),
            Some(credential),
            Some(date),
            Some(expires),
            Some(signed_headers),
            Some(signature),
        ) = (self.algorithm, self.credential, self.date, self.expires, self.signed_headers, self.signature)
        else {
            return malformed(QUERY, ALL, "fewer");
        };
        if algorithm != ALGORITHM {
            return Err(Refusal::Unsupported(shortened(algorithm)));
        }
        let Some(moment) = Moment::parse(date) else {
            return malformed("query X-Amz-Date", "a time such as 20261124T095046Z", shortened(date));
        };
        let expires_s = expires.parse().ok().filter(|seconds| (1..=EXPIRES_S_MAX).contains(seconds));
        let Some(expires_s) = expires_s else {
            return malformed(
                "query X-Amz-Expires",
                "a number of seconds from 1 to 604800",
                shortened(expires),
            );
        };
        let (credential, signed_headers) = (decoded(credential)?, decoded(signed_headers)?);
        let token = self.token.map(decoded).transpose()?;
        Fields { place: QUERY, credential, signed_headers, signature, moment, token }.check(Some(expires_s))
    }

    fn v2(&self) -> Result<PresignedV2<'a>, Refusal> {
        let (Some(key_id), Some(signature), Some(expires)) =
            (self.v2_key_id, self.v2_signature, self.v2_expires)
        else {
            return malformed(QUERY, "AWSAccessKeyId, Expires and Signature", "fewer");
        };
        let seconds = Some(expires).filter(|text| text.len() <= 11).and_then(|text| text.parse::<u32>().ok());
        let Some(seconds) = seconds else {
            return malformed("query Expires", "seconds since 1970", shortened(expires));
        };
        Ok(PresignedV2 {
            key_id: decoded(key_id)?,
            signature: decoded(signature)?,
            expires: Cow::Borrowed(expires),
            until: Timestamp(i64::from(seconds) * 1000),
            token: self.v2_token.map(decoded).transpose()?,
        })
    }
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Refusal> {
    percent_decode_str(text)
        .decode_utf8()
        .map_or_else(|_| malformed(QUERY, "UTF-8 in percent-encoding", shortened(text)), Ok)
}

#[cfg(test)]
mod tests;
