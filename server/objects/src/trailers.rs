//! Trailers: checksums that follow a body, since the client computes them while it sends.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;

use crate::digest::Algorithm;

/// Where the trailers of a request will be, once its body was read.
#[derive(Debug, Clone, Default)]
pub struct Trailers(Arc<Mutex<HeaderMap>>);

impl Trailers {
    /// Notes what followed the body.
    pub fn set(&self, trailers: HeaderMap) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trailers;
    }

    /// The checksums among them.
    pub(crate) fn checksums(&self) -> Vec<(Algorithm, String)> {
        let trailers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = |algorithm: Algorithm| trailers.get(algorithm.header())?.to_str().ok().map(str::to_owned);
        Algorithm::ALL.into_iter().filter_map(|algorithm| Some((algorithm, value(algorithm)?))).collect()
    }
}
