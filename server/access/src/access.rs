//! The two steps of judging a request: its head as soon as it is there, its signature once the hash of its body is.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use wire::Timestamp;

use crate::canonical::Canonical;
use crate::chunked::ChunkSigner;
use crate::claim::{ALGORITHM, Claim, PresignedV2, Signature, TERMINATOR, shortened};
use crate::credentials::Credentials;
use crate::date::Moment;
use crate::digest::{self, Digest};
use crate::payload::{Declared, PayloadReader, UNSIGNED, wrong_hash};
use crate::presigned_v2;
use crate::principal::{Caller, Key, Principal};
use crate::refusal::Refusal;
use crate::replay::{Identity, ReplayWindow, Seen};
use crate::signing_key::SigningKey;
use crate::split;

/// How far a request's time may be from the server's. Reason: AWS's own five minutes.
pub const SKEW_MS: i64 = 300_000;

/// Room for the text that is signed. Reason: what boto3 signs for an invocation is 700 bytes; one allocation a request.
const TEXT_BYTES: usize = 1024;

/// S3's signing name: its paths and bodies have rules of their own.
const S3: &str = "s3";

/// Who may call this server, and what was served already.
#[derive(Debug)]
pub struct Access(Option<State>);

#[derive(Debug)]
struct State {
    credentials: ArcSwap<Credentials>,
    replays: ReplayWindow,
}

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `POST`.
    pub method: &'a str,
    /// As it came, in percent-encoding.
    pub path: &'a str,
    /// As it came.
    pub query: Option<&'a str>,
    /// HTTP/2's `:authority`, which is there what `Host` is in HTTP/1.1.
    pub authority: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The names in the client's certificate, which the TLS layer has verified.
    pub client_names: &'a [String],
    /// Whether it is one for which tokens and certificates are good.
    pub takes_tokens: bool,
}

impl Access {
    /// A server that is open to whoever reaches it.
    pub const fn open() -> Self {
        Self(None)
    }

    /// A server for those whom `credentials` knows.
    pub fn closed(credentials: Credentials) -> Self {
        let (credentials, replays) = (ArcSwap::from_pointee(credentials), ReplayWindow::new(SKEW_MS));
        Self(Some(State { credentials, replays }))
    }

    /// Whether anybody may do anything.
    pub const fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Who is known; `None` when the server is open.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.0.as_ref().map(|state| state.credentials.load_full())
    }

    /// Puts new credentials in the place of the old: requests that begin from now on are held to them.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(state) = &self.0 {
            state.credentials.store(Arc::new(credentials));
        }
    }

    /// Looks at the head of a request that came at `now`.
    ///
    /// # Errors
    /// When it proves nothing whatever its body is.
    pub fn begin<'a>(&'a self, head: &Head<'_>, now: Timestamp) -> Result<Pending<'a>, Refusal> {
        let Some(state) = &self.0 else { return Ok(Pending(Proof::Open)) };
        match Claim::of(head.headers, head.query)? {
            Claim::Signature(claim) => {
                Signed::begin(state, head, &claim, now).map(|signed| Pending(Proof::Signed(signed)))
            }
            Claim::PresignedV2(claim) => state.presigned_v2(head, &claim, now),
            Claim::Bearer(token) => {
                let known = state.credentials.load().token(token).cloned();
                Pending::known(known, "bearer token", now)
            }
            Claim::Nothing if !head.client_names.is_empty() && head.takes_tokens => {
                let known = state.credentials.load().certificate(head.client_names).cloned();
                Pending::known(known, "client certificate", now)
            }
            Claim::Nothing => Err(Refusal::Unsigned { takes_tokens: head.takes_tokens }),
        }
    }
}

impl State {
    fn key(&self, id: &str) -> Result<Arc<Key>, Refusal> {
        let credentials = self.credentials.load();
        credentials.key(id).cloned().ok_or_else(|| Refusal::UnknownKey(shortened(id)))
    }

    fn presigned_v2(
        &self,
        head: &Head<'_>,
        claim: &PresignedV2<'_>,
        now: Timestamp,
    ) -> Result<Pending<'_>, Refusal> {
        let key = self.key(&claim.key_id)?;
        check_token(&key, claim.token.as_deref())?;
        if now > claim.until {
            return Err(Refusal::Expired { until: claim.until, now });
        }
        let query = head.query.unwrap_or_default();
        presigned_v2::verify(claim, &key.secret, head.method, head.path, query, head.headers)?;
        let (principal, service) = (Arc::clone(&key.principal), S3);
        Ok(Pending(Proof::Known { principal, service, now }))
    }
}

/// A session token must be the key's, and there only where the key has one.
fn check_token(key: &Key, token: Option<&str>) -> Result<(), Refusal> {
    let is_right = match (key.token.as_deref(), token) {
        (None, None) => true,
        (Some(expected), Some(found)) => digest::is_same(expected.as_bytes(), found.as_bytes()),
        _ => false,
    };
    if is_right { Ok(()) } else { Err(Refusal::WrongToken) }
}

/// A request whose head is fine so far.
#[derive(Debug)]
pub struct Pending<'a>(Proof<'a>);

#[derive(Debug)]
enum Proof<'a> {
    /// None is asked for.
    Open,
    /// The head alone proved it, for this service.
    Known { principal: Arc<Principal>, service: &'static str, now: Timestamp },
    /// A signature that includes the body.
    Signed(Signed<'a>),
}

impl<'a> Pending<'a> {
    fn known(principal: Option<Arc<Principal>>, what: &'static str, now: Timestamp) -> Result<Self, Refusal> {
        let principal = principal.ok_or(Refusal::UnknownBearer(what))?;
        Ok(Self(Proof::Known { principal, service: "sagemaker", now }))
    }

    /// Of a request to an open server.
    pub const fn open() -> Self {
        Self(Proof::Open)
    }

    /// Whether nothing is asked for.
    pub const fn is_open(&self) -> bool {
        matches!(self.0, Proof::Open)
    }

    /// Whether [`finish`](Self::finish) looks at the body's hash.
    pub fn wants_hash(&self) -> bool {
        matches!(self.0, Proof::Signed(_))
    }

    /// Judges a request to `service` (its signing name: `sagemaker`, `monitoring`) whose body has this hash.
    ///
    /// # Errors
    /// When it is not what was signed, was signed for another service, or is one too many.
    pub fn finish(self, service: &str, body: &Digest) -> Result<Caller, Refusal> {
        match self.0 {
            Proof::Open => Ok(Caller::anonymous()),
            Proof::Known { principal, service: good_for, now } => known(principal, good_for, service, now),
            Proof::Signed(mut signed) => {
                match signed.declared {
                    None => {}
                    Some(Declared::Hash(declared)) if declared == *body => {}
                    Some(Declared::Hash(_)) => return Err(wrong_hash(body)),
                    Some(Declared::Unsigned | Declared::Chunked { .. }) => {
                        return Err(Refusal::Body("one that is declared to be unsigned or in chunks".into()));
                    }
                }
                let start = signed.text.len();
                digest::push_hex(&mut signed.text, body);
                debug_assert_eq!(signed.text.len() - start, 64);
                signed.prove(service)
            }
        }
    }

    /// As [`finish`](Self::finish), before the body has come: the reader says whether it is what was signed. For S3, whose
    /// requests always declare their bodies.
    ///
    /// # Errors
    /// As `finish`, and when the body is not declared.
    pub fn finish_declared(
        self,
        service: &str,
        headers: &HeaderMap,
    ) -> Result<(Caller, PayloadReader), Refusal> {
        match self.0 {
            Proof::Open => Ok((Caller::anonymous(), PayloadReader::open(headers)?)),
            Proof::Known { principal, service: good_for, now } => {
                Ok((known(principal, good_for, service, now)?, PayloadReader::open(headers)?))
            }
            Proof::Signed(mut signed) => {
                let Some(declared) = signed.declared else {
                    let (place, expected) = ("header x-amz-content-sha256", "how the body is signed");
                    return Err(Refusal::Malformed { place, expected, found: "none".into() });
                };
                match headers.get(crate::payload::CONTENT_SHA256) {
                    Some(value) => signed.text.extend_from_slice(value.as_bytes()),
                    None => signed.text.extend_from_slice(UNSIGNED.as_bytes()),
                }
                let signer = signed.chunk_signer();
                let caller = signed.prove(service)?;
                Ok((caller, PayloadReader::new(declared, Some(signer), headers)?))
            }
        }
    }
}

/// Whoever the head alone proved, where that is good for the service.
fn known(
    principal: Arc<Principal>,
    good_for: &str,
    service: &str,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    if good_for == service {
        return Caller::proved(principal, now);
    }
    let (action, resource) = (format!("{service}:*"), "*".to_owned());
    Err(Refusal::NotAllowed { who: principal.name.clone(), action, resource })
}

fn check_service(addressed: &str, signed_for: &str) -> Result<(), Refusal> {
    if addressed == signed_for {
        return Ok(());
    }
    let expected = format!("correct service: '{addressed}'");
    Err(Refusal::WrongScope { expected, found: shortened(signed_for) })
}

/// A Signature Version 4 of which all but the body is known.
#[derive(Debug)]
struct Signed<'a> {
    state: &'a State,
    key: Arc<Key>,
    signing_key: SigningKey,
    /// `AWS4-HMAC-SHA256`, moment and scope, a line each; then the canonical request, which begins at `canonical`.
    text: Vec<u8>,
    canonical: usize,
    service: Box<str>,
    signature: Digest,
    moment: Moment,
    declared: Option<Declared>,
    /// What tells it from others of the same signature; `None` for what may come twice: presigned URLs are made for that, and
    /// reading changes nothing.
    identity: Option<Identity>,
    now: Timestamp,
}

impl<'a> Signed<'a> {
    fn begin(
        state: &'a State,
        head: &Head<'_>,
        claim: &Signature<'_>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        check_time(claim, now)?;
        let key = state.key(&claim.key_id)?;
        check_token(&key, claim.token.as_deref())?;
        if !state.credentials.load().serves_region(&claim.region) {
            let expected = "a valid region of this server".to_owned();
            return Err(Refusal::WrongScope { expected, found: shortened(&claim.region) });
        }
        let is_s3 = claim.service == S3;
        let is_presigned = claim.expires_s.is_some();
        let may_come_twice = is_presigned || (is_s3 && matches!(head.method, "GET" | "HEAD"));
        let declared = Declared::of(head.headers)?.or((is_s3 && is_presigned).then_some(Declared::Unsigned));
        let (text, canonical) = text(head, claim, is_s3)?;
        let day = claim.moment.day();
        Ok(Self {
            state,
            signing_key: key.signing_keys.of(&key.secret, day, &claim.region, &claim.service),
            key,
            text,
            canonical,
            service: claim.service.as_ref().into(),
            signature: claim.signature,
            moment: claim.moment,
            declared,
            identity: (!may_come_twice).then(|| identity(head, claim)),
            now,
        })
    }

    /// The text is whole: does the signature fit, and is it new?
    fn prove(mut self, service: &str) -> Result<Caller, Refusal> {
        check_service(service, &self.service)?;
        let hash = digest::sha256(&self.text[self.canonical..]);
        self.text.truncate(self.canonical);
        digest::push_hex(&mut self.text, &hash);
        let tag = digest::hmac(self.signing_key.hmac_key(), &self.text);
        if !digest::is_same(&tag, &self.signature) {
            return Err(Refusal::Mismatch);
        }
        self.key.signing_keys.remember(&self.signing_key);
        if let Some(identity) = self.identity {
            match self.state.replays.see(&self.signature, self.moment.at, self.now, identity) {
                Seen::First => {}
                Seen::Before => return Err(Refusal::Replayed),
                // There were more than fit: of its time nothing is known any more.
                Seen::Forgotten => return Err(skewed(self.moment.at, self.now)),
            }
        }
        Caller::proved(Arc::clone(&self.key.principal), self.now)
    }

    fn chunk_signer(&self) -> ChunkSigner {
        let scope = self.text[ALGORITHM.len() + 1..self.canonical].to_vec();
        let scope = String::from_utf8(scope).expect("moment and scope were text");
        ChunkSigner::new(self.signing_key.hmac_key().clone(), scope, self.signature)
    }
}

/// The first three lines of what is signed, and the canonical request but for its last line; where that begins.
fn text(head: &Head<'_>, claim: &Signature<'_>, is_s3: bool) -> Result<(Vec<u8>, usize), Refusal> {
    let mut text = Vec::with_capacity(TEXT_BYTES);
    let (moment, day) = (claim.moment.as_str(), claim.moment.day());
    for part in
        [ALGORITHM, "\n", moment, "\n", day, "/", &claim.region, "/", &claim.service, "/", TERMINATOR, "\n"]
    {
        text.extend_from_slice(part.as_bytes());
    }
    let canonical = text.len();
    let request = Canonical {
        method: head.method,
        path: head.path,
        query: head.query,
        authority: head.authority,
        headers: head.headers,
        signed_headers: &claim.signed_headers,
        is_s3,
    };
    request.write(&mut text)?;
    Ok((text, canonical))
}

/// What a client says that tells its requests apart: an id for each call, and the number of the attempt.
fn identity(head: &Head<'_>, claim: &Signature<'_>) -> Identity {
    const ID: &str = "amz-sdk-invocation-id";
    if split::parts(&claim.signed_headers, b';').any(|name| name == ID) {
        return Identity::Signed;
    }
    let Some(id) = head.headers.get(ID) else { return Identity::Signed };
    let attempt = head.headers.get("amz-sdk-request").map(http::HeaderValue::as_bytes).unwrap_or_default();
    // FNV-1a: nobody is kept from finding another of the same value, and nothing hangs on it.
    let fold = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    Identity::Told(id.as_bytes().iter().chain(attempt).fold(0x811c_9dc5, fold))
}

fn skewed(at: Timestamp, now: Timestamp) -> Refusal {
    Refusal::Skewed { at, now, skew_s: SKEW_MS / 1000 }
}

fn check_time(claim: &Signature<'_>, now: Timestamp) -> Result<(), Refusal> {
    let at = claim.moment.at;
    let is_future = at.0 > now.0 + SKEW_MS;
    match claim.expires_s {
        _ if is_future => Err(skewed(at, now)),
        None if at.0 < now.0 - SKEW_MS => Err(skewed(at, now)),
        Some(expires_s) if now.0 > at.0 + i64::from(expires_s) * 1000 => {
            Err(Refusal::Expired { until: at.plus_millis(i64::from(expires_s) * 1000), now })
        }
        _ => Ok(()),
    }
}
