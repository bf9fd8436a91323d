//! A fixed pool of threads with a bounded queue, for predictions too long for a connection's thread.
//!
//! Full is refused at once: a client that hears so can go elsewhere, one that waits cannot.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Session;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::rt;

/// Work for a thread of the pool, over its buffers.
pub(super) type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// The pool. Its threads end when it is dropped and what they do is done.
#[derive(Debug)]
pub(super) struct Compute {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    has_work: Condvar,
    limit: usize,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Compute {
    /// A pool of `threads` threads before which at most `limit` jobs wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(threads: usize, limit: usize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, has_work: Condvar::new(), limit, metrics });
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            rt::spawn_thread(&format!("compute-{index}"), move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Queues `job`.
    ///
    /// # Errors
    /// When the queue is full.
    pub(super) fn submit(&self, job: Job) -> Result<(), Error> {
        let mut queue = self.shared.lock();
        if queue.jobs.len() >= self.shared.limit {
            return Err(Error::QueueFull { limit: self.shared.limit });
        }
        queue.jobs.push_back(job);
        self.shared.metrics.queue_depth.set(queue.jobs.len() as f64);
        drop(queue);
        self.shared.has_work.notify_one();
        Ok(())
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.has_work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut session = Session::default();
        while let Some(job) = self.next() {
            job(&mut session);
            session.trim();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                self.metrics.queue_depth.set(queue.jobs.len() as f64);
                return Some(job);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.has_work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_full_queue_refuses_and_what_is_queued_runs_in_order() {
        let metrics = Arc::new(Metrics::default());
        let compute = Compute::start(1, 2, Arc::clone(&metrics)).unwrap();
        let (started, has_started) = sync_channel(1);
        let (release, released) = sync_channel::<()>(1);
        let (done, results) = sync_channel(8);
        compute
            .submit(Box::new(move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
            }))
            .unwrap();
        has_started.recv().unwrap();
        for number in 0..2 {
            let done = done.clone();
            compute.submit(Box::new(move |_| done.send(number).unwrap())).unwrap();
        }
        assert!(metrics.render().contains("\nclary_queue_depth 2\n"));
        let refused = compute.submit(Box::new(|_| unreachable!("it is refused"))).expect_err("full");
        assert!(matches!(refused, Error::QueueFull { limit: 2 }));
        release.send(()).unwrap();
        assert_eq!([results.recv().unwrap(), results.recv().unwrap()], [0, 1]);
    }

    #[test]
    fn what_is_queued_when_the_pool_is_dropped_still_runs() {
        let compute = Compute::start(1, 8, Arc::default()).unwrap();
        let (done, results) = sync_channel(8);
        for number in 0..3 {
            let done = done.clone();
            compute.submit(Box::new(move |_| done.send(number).unwrap())).unwrap();
        }
        drop((compute, done));
        assert_eq!(results.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
