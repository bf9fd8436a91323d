//! A fixed pool of threads for predictions too long for a connection's thread, with a bounded lane for each variant.
//!
//! A lane runs at most its variant's slots at once, and lanes with work take turns, so that a variant with a flood of
//! long predictions delays the others by no more than the predictions that run already. Full is refused at once: a client
//! that hears so can go elsewhere, one that waits cannot.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::{Capacity, ModelServerOptions, Session};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::rt;

/// The most lanes without work that are remembered. Reason: a usual server has fewer variants, so none is made anew for
/// each job; those of variants that are gone must not add up.
const IDLE_LANES_MAX: usize = 64;

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
    buffer_bytes_kept: usize,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Queue {
    lanes: HashMap<u64, Lane>,
    /// The lanes that have a job and a free slot, in the order of their turns.
    ready: VecDeque<u64>,
    /// Jobs in all lanes.
    waiting: usize,
    is_closed: bool,
}

/// The jobs of one variant.
struct Lane {
    capacity: Arc<Capacity>,
    /// Each with the moment since which it waits.
    jobs: VecDeque<(Instant, Job)>,
    running: u32,
    is_ready: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Compute {
    /// The pool of a server of these options; at most `queue_length` jobs wait in each lane.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(options: &ModelServerOptions, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        metrics.pool.set_threads(options.workers);
        let (queue, has_work) = (Mutex::new(Queue::default()), Condvar::new());
        let (limit, buffer_bytes_kept) = (options.queue_length, options.buffer_bytes_kept);
        let shared = Arc::new(Shared { queue, has_work, limit, buffer_bytes_kept, metrics });
        for index in 0..options.workers {
            let shared = Arc::clone(&shared);
            rt::spawn_thread_with(&format!("compute-{index}"), options.priority, move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Queues `job` in the lane of `capacity`, in which at most `limit` may wait (or fewer, as the pool has it).
    ///
    /// # Errors
    /// When the lane is full, or has no slot that it could ever run in.
    pub(super) fn submit(&self, capacity: &Arc<Capacity>, limit: usize, job: Job) -> Result<(), Error> {
        if capacity.slots() == 0 {
            return Err(Error::NotReady("a variant without instances".into()));
        }
        let limit = limit.min(self.shared.limit);
        let now = Instant::now();
        let mut queue = self.shared.lock();
        if !queue.push(capacity, limit, now, job) {
            return Err(Error::QueueFull { limit });
        }
        let metrics = &self.shared.metrics;
        metrics.queue_depth.set(queue.waiting as f64);
        // With others, one of them is the oldest, and stays it.
        if queue.waiting == 1 {
            metrics.pool.set_oldest(Some(now));
        }
        drop(queue);
        self.shared.has_work.notify_one();
        Ok(())
    }

    /// Lanes whose slots became more get their turns now, not with their next job.
    pub(super) fn slots_changed(&self) {
        let mut queue = self.shared.lock();
        let lanes: Vec<u64> = queue.lanes.keys().copied().collect();
        lanes.into_iter().for_each(|id| queue.take_turn(id));
        let is_ready = !queue.ready.is_empty();
        drop(queue);
        if is_ready {
            // Who takes one wakes the next.
            self.shared.has_work.notify_one();
        }
    }

    /// Jobs that wait in the lane of `capacity`.
    pub(super) fn waiting(&self, capacity: &Capacity) -> usize {
        self.shared.lock().lanes.get(&capacity.id()).map_or(0, |lane| lane.jobs.len())
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.has_work.notify_all();
    }
}

impl Queue {
    /// `false` when the lane is full.
    fn push(&mut self, capacity: &Arc<Capacity>, limit: usize, now: Instant, job: Job) -> bool {
        let id = capacity.id();
        if !self.lanes.contains_key(&id) && self.lanes.len() >= IDLE_LANES_MAX {
            self.lanes.retain(|_, lane| lane.running > 0 || !lane.jobs.is_empty());
        }
        let lane = self.lanes.entry(id).or_insert_with(|| Lane::new(capacity));
        if lane.jobs.len() >= limit {
            return false;
        }
        lane.jobs.push_back((now, job));
        self.waiting += 1;
        self.take_turn(id);
        true
    }

    /// Puts the lane at the end of the turns if it has a job and a free slot and does not stand there.
    fn take_turn(&mut self, id: u64) {
        let lane = self.lanes.get_mut(&id).expect("a lane with work is not forgotten");
        if !lane.is_ready && !lane.jobs.is_empty() && lane.running < lane.capacity.slots() {
            lane.is_ready = true;
            self.ready.push_back(id);
        }
    }

    /// The next job and its lane.
    fn pop(&mut self) -> Option<(u64, Job)> {
        while let Some(id) = self.ready.pop_front() {
            let lane = self.lanes.get_mut(&id).expect("a lane with work is not forgotten");
            lane.is_ready = false;
            // Its slots may have become fewer since.
            if lane.running >= lane.capacity.slots() {
                continue;
            }
            let (_, job) = lane.jobs.pop_front().expect("a lane that is ready has a job");
            lane.running += 1;
            self.waiting -= 1;
            self.take_turn(id);
            return Some((id, job));
        }
        None
    }

    /// Since when the oldest job waits.
    fn oldest(&self) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        self.lanes.values().filter_map(|lane| lane.jobs.front()).map(|(since, _)| *since).min()
    }

    /// A job of the lane is over.
    fn finish(&mut self, id: u64) {
        self.lanes.get_mut(&id).expect("a lane with work is not forgotten").running -= 1;
        self.take_turn(id);
    }
}

impl Lane {
    fn new(capacity: &Arc<Capacity>) -> Self {
        Self { capacity: Arc::clone(capacity), jobs: VecDeque::new(), running: 0, is_ready: false }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut session = Session::keeping(self.buffer_bytes_kept);
        let mut finished = None;
        while let Some((lane, job)) = self.next(finished) {
            self.metrics.pool.begin(Instant::now());
            job(&mut session);
            session.trim();
            self.metrics.pool.end(Instant::now());
            finished = Some(lane);
        }
    }

    /// What waits, for the page.
    fn tell(&self, queue: &Queue) {
        self.metrics.queue_depth.set(queue.waiting as f64);
        self.metrics.pool.set_oldest(queue.oldest());
    }

    /// Waits for a job, after one of the lane `finished`.
    fn next(&self, finished: Option<u64>) -> Option<(u64, Job)> {
        let mut queue = self.lock();
        if let Some(lane) = finished {
            queue.finish(lane);
        }
        loop {
            if let Some(next) = queue.pop() {
                self.tell(&queue);
                // A lane whose slots became more has turns that no submission announced.
                if !queue.ready.is_empty() {
                    self.has_work.notify_one();
                }
                return Some(next);
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
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const LIMIT: usize = 8;

    fn start(threads: usize, limit: usize, metrics: Arc<Metrics>) -> Compute {
        Compute::start(&ModelServerOptions::online(threads, limit, 1 << 20), metrics).unwrap()
    }

    fn compute(threads: usize, limit: usize) -> Compute {
        start(threads, limit, Arc::default())
    }

    /// A job that says when it runs and ends when it is let go.
    fn held(name: &'static str, running: &SyncSender<&'static str>) -> (Job, SyncSender<()>) {
        let (release, released) = sync_channel::<()>(1);
        let running = running.clone();
        let job: Job = Box::new(move |_| {
            running.send(name).unwrap();
            // Also when the test is over.
            let _ = released.recv();
        });
        (job, release)
    }

    fn telling(name: &'static str, running: &SyncSender<&'static str>) -> Job {
        let running = running.clone();
        Box::new(move |_| running.send(name).unwrap())
    }

    fn channel() -> (SyncSender<&'static str>, Receiver<&'static str>) {
        sync_channel(64)
    }

    #[test]
    fn a_full_lane_refuses_what_is_queued_runs_in_order_and_other_lanes_have_room() {
        let metrics = Arc::new(Metrics::default());
        let compute = start(1, 2, Arc::clone(&metrics));
        let (one, other) = (Capacity::new(1), Capacity::new(1));
        let (running, ran) = channel();
        let (job, release) = held("held", &running);
        compute.submit(&one, LIMIT, job).unwrap();
        assert_eq!(ran.recv().unwrap(), "held");
        compute.submit(&one, LIMIT, telling("first", &running)).unwrap();
        compute.submit(&one, LIMIT, telling("second", &running)).unwrap();
        assert!(metrics.render().contains("\nclary_queue_depth 2\n"));
        assert!(metrics.pool.oldest(Instant::now() + std::time::Duration::from_secs(9)).as_secs() >= 9);
        let refused = compute.submit(&one, LIMIT, telling("refused", &running)).expect_err("full");
        assert!(matches!(refused, Error::QueueFull { limit: 2 }));
        compute.submit(&other, LIMIT, telling("other", &running)).unwrap();
        let refused = compute.submit(&other, 1, telling("refused", &running)).expect_err("full");
        assert!(matches!(refused, Error::QueueFull { limit: 1 }));
        release.send(()).unwrap();
        let order: Vec<_> = (0..3).map(|_| ran.recv().unwrap()).collect();
        assert!(metrics.pool.oldest(Instant::now() + std::time::Duration::from_secs(9)).is_zero());
        assert_eq!(order.iter().filter(|name| **name != "other").collect::<Vec<_>>(), [&"first", &"second"]);
    }

    #[test]
    fn slots_that_become_more_are_used_at_once() {
        let compute = compute(3, LIMIT);
        let capacity = Capacity::new(1);
        let (running, ran) = channel();
        let jobs: Vec<_> = ["one", "two", "three"].into_iter().map(|name| held(name, &running)).collect();
        let mut releases = Vec::new();
        for (job, release) in jobs {
            compute.submit(&capacity, LIMIT, job).unwrap();
            releases.push(release);
        }
        assert_eq!(ran.recv().unwrap(), "one");
        assert_eq!(compute.waiting(&capacity), 2);
        capacity.set_slots(3);
        compute.slots_changed();
        let both = [ran.recv().unwrap(), ran.recv().unwrap()];
        assert!(both.contains(&"two") && both.contains(&"three"), "{both:?}");
    }

    #[test]
    fn lanes_take_turns() {
        let compute = compute(1, LIMIT);
        let (flood, trickle) = (Capacity::new(4), Capacity::new(4));
        let (running, ran) = channel();
        let (job, release) = held("held", &running);
        compute.submit(&flood, LIMIT, job).unwrap();
        ran.recv().unwrap();
        for _ in 0..4 {
            compute.submit(&flood, LIMIT, telling("flood", &running)).unwrap();
        }
        compute.submit(&trickle, LIMIT, telling("trickle", &running)).unwrap();
        release.send(()).unwrap();
        let order: Vec<_> = (0..5).map(|_| ran.recv().unwrap()).collect();
        assert_eq!(order, ["flood", "trickle", "flood", "flood", "flood"]);
    }

    #[test]
    fn a_lane_runs_no_more_than_its_slots_and_leaves_the_other_threads_to_others() {
        let compute = compute(3, LIMIT);
        let (narrow, wide) = (Capacity::new(1), Capacity::new(3));
        let (running, ran) = channel();
        let (one, release_one) = held("narrow", &running);
        let (two, _release_two) = held("narrow", &running);
        compute.submit(&narrow, LIMIT, one).unwrap();
        compute.submit(&narrow, LIMIT, two).unwrap();
        let (three, _release_three) = held("wide", &running);
        compute.submit(&wide, LIMIT, three).unwrap();
        let mut began = [ran.recv().unwrap(), ran.recv().unwrap()];
        began.sort_unstable();
        assert_eq!(began, ["narrow", "wide"]);
        compute.submit(&wide, LIMIT, telling("wide", &running)).unwrap();
        assert_eq!(ran.recv().unwrap(), "wide", "the second narrow one waits for its slot, not for a thread");
        release_one.send(()).unwrap();
        assert_eq!(ran.recv().unwrap(), "narrow");
    }

    #[test]
    fn more_slots_take_effect_with_the_next_job() {
        let compute = compute(2, LIMIT);
        let lane = Capacity::new(1);
        let (running, ran) = channel();
        let (one, release_one) = held("one", &running);
        let (two, _release_two) = held("two", &running);
        compute.submit(&lane, LIMIT, one).unwrap();
        compute.submit(&lane, LIMIT, two).unwrap();
        assert_eq!(ran.recv().unwrap(), "one");
        lane.set_slots(2);
        compute.submit(&lane, LIMIT, telling("three", &running)).unwrap();
        assert_eq!(ran.recv().unwrap(), "two");
        release_one.send(()).unwrap();
        assert_eq!(ran.recv().unwrap(), "three");
        lane.set_slots(0);
        let refused = compute.submit(&lane, LIMIT, telling("none", &running)).expect_err("no slot");
        assert!(matches!(refused, Error::NotReady(_)));
    }

    #[test]
    fn what_is_queued_when_the_pool_is_dropped_still_runs() {
        let compute = compute(1, 8);
        let lane = Capacity::new(1);
        let (done, results) = channel();
        for name in ["a", "b", "c"] {
            compute.submit(&lane, LIMIT, telling(name, &done)).unwrap();
        }
        drop((compute, done));
        assert_eq!(results.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn lanes_of_variants_that_are_gone_do_not_add_up() {
        let compute = compute(1, LIMIT);
        let (running, ran) = channel();
        for _ in 0..10 * IDLE_LANES_MAX {
            compute.submit(&Capacity::new(1), LIMIT, telling("job", &running)).unwrap();
            ran.recv().unwrap();
        }
        assert!(compute.shared.lock().lanes.len() <= IDLE_LANES_MAX + 1);
    }
}
