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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::future::FutureExt;

    use super::super::cache::tests::{cache, memory};
    use super::*;

    #[tokio::test]
    async fn the_coldest_of_any_variant_makes_room() {
        let memory = memory(30);
        let ((_, one), (_, other)) = (cache(&memory), cache(&memory));
        let mut clock = Instant::now();
        for (cache, name) in [(&one, "old"), (&other, "newer"), (&one, "newest")] {
            clock += Duration::from_secs(5);
            cache.warm(name).await.unwrap();
            cache.find(name, clock).unwrap();
        }
        other.warm("needs room").await.unwrap();
        assert!(one.find("old", clock).is_none() && one.find("newest", clock).is_some());
        assert_eq!(other.len(), 2);
    }

    #[tokio::test]
    async fn a_model_that_a_request_holds_is_waited_for() {
        let memory = memory(10);
        let (_, cache) = cache(&memory);
        cache.warm("held by a request").await.unwrap();
        let request = cache.find("held by a request", Instant::now()).unwrap();
        let load = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.warm("next").await }
        });
        while !cache.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(memory.reserve(10).now_or_never().is_none_or(|room| room.is_err()), "it is not free yet");
        drop(request);
        load.await.unwrap().unwrap();
        assert!(cache.find("next", Instant::now()).is_some());
    }

    #[tokio::test]
    async fn what_can_never_fit_drives_nothing_out() {
        let memory = memory(10);
        let (_, cache) = cache(&memory);
        cache.warm("a").await.unwrap();
        let error = memory.reserve(11).await.expect_err("too much");
        assert!(matches!(error, Error::OutOfMemory { needed_bytes: 11, limit_bytes: 10, .. }));
        assert_eq!(cache.len(), 1);
        cache.keep(true);
        memory.reserve(10).await.expect_err("what is there must stay");
        cache.keep(false);
        let mut room = memory.reserve(4).await.unwrap();
        memory.fit(&mut room, 10).await.unwrap();
        memory.reserve(1).await.expect_err("no model can go");
        drop(room);
        memory.reserve(10).await.unwrap();
    }
}
