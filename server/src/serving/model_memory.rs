//! The memory of all models that are loaded when they are asked for: one budget for the process, in which a load makes
//! room by unloading the coldest models of any variant.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::memory::{MemoryBudget, Reservation};
use super::reaper::Reaper;
use super::{ModelCache, ModelServer};
use crate::error::Error;

/// How long a load waits for requests to let go of the models that it unloaded. Reason: as long as a request may take by
/// default, since it may hold one so long.
const ROOM_TIME_MAX: Duration = Duration::from_secs(60);

/// The budget, and the caches that share it.
#[derive(Debug)]
pub struct ModelMemory {
    budget: Arc<MemoryBudget>,
    caches: Mutex<Vec<Weak<ModelCache>>>,
    reaper: Reaper,
}

impl ModelMemory {
    /// `budget` for the caches of `server`'s endpoints.
    pub fn new(budget: Arc<MemoryBudget>, server: &ModelServer) -> Arc<Self> {
        Arc::new(Self { budget, caches: Mutex::default(), reaper: server.reaper() })
    }

    /// Takes `bytes` for a model, unloading others where that is needed.
    ///
    /// # Errors
    /// When even without the models that can go there is no room.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        let mut reservation = self.budget.reserve(0)?;
        self.fit(&mut reservation, bytes).await?;
        Ok(reservation)
    }

    /// Makes `reservation` one of `bytes`, unloading models where that is needed.
    ///
    /// # Errors
    /// When even without the models that can go there is no room; it then stays what it was.
    pub async fn fit(&self, reservation: &mut Reservation, bytes: u64) -> Result<(), Error> {
        let deadline = Instant::now() + ROOM_TIME_MAX;
        loop {
            let error = match reservation.resize(bytes) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let Error::OutOfMemory { needed_bytes, free_bytes, limit_bytes } = error else {
                return Err(error);
            };
            if needed_bytes > limit_bytes {
                return Err(error);
            }
            let leaving = self.unload(needed_bytes - free_bytes);
            if leaving.is_empty() {
                return Err(error);
            }
            for freed in leaving {
                if timeout_at(deadline, freed).await.is_err() {
                    return Err(error);
                }
            }
        }
    }

    /// Unloads the coldest models of all caches, of at least `bytes` together if there are so many.
    fn unload(&self, bytes: u64) -> Vec<oneshot::Receiver<()>> {
        let mut loaded: Vec<_> = self
            .caches()
            .into_iter()
            .flat_map(|cache| {
                let census = cache.census().into_iter();
                census.map(move |(warmth, name, bytes)| (warmth, name, bytes, Arc::clone(&cache)))
            })
            .collect();
        loaded.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
        let (mut leaving, mut unloaded_bytes) = (Vec::new(), 0);
        for (_, name, model_bytes, cache) in loaded {
            if unloaded_bytes >= bytes {
                break;
            }
            if let Some(freed) = cache.unload(&name) {
                unloaded_bytes += model_bytes;
                leaving.push(freed);
            }
        }
        leaving
    }

    /// A cache of this budget was made.
    pub(super) fn join(&self, cache: &Arc<ModelCache>) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|cache| cache.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }

    /// All caches that are still there.
    pub fn caches(&self) -> Vec<Arc<ModelCache>> {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.iter().filter_map(Weak::upgrade).collect()
    }

    /// Frees `value` when no request holds it any more.
    pub(super) fn retire<T: Send + Sync + 'static>(&self, value: Arc<T>) -> oneshot::Receiver<()> {
        self.reaper.retire_one(value)
    }
}
