//! What one connection does for a run: claim the next intended start, wait for it, send, read, count.
//!
//! Connections claim starts in order from one shared schedule, so a start waits only while every connection is busy.
//! It keeps its place in time: a server that stalls for a second makes every request meant for that second late, and
//! the latency says so. (Counting from the actual send would show one slow request: coordinated omission.)

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::schedule::{Arrival, Schedule};
use crate::tally::{Failure, Tally};

/// How long a closed-loop connection rests after it could not connect. Reason: there is no schedule to slow it down,
/// and a refused connection would spin a core.
const CONNECT_BACKOFF: Duration = Duration::from_millis(10);

/// Counts that the progress line shows while the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Requests with an answer or a failure.
    pub(crate) done: AtomicU64,
    /// Those that failed or were not 2xx.
    pub(crate) errors: AtomicU64,
}

/// The times of a run, from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Requests meant to start before this are sent but not counted.
    pub(crate) warm_up: Duration,
    /// No request starts after this.
    pub(crate) end: Duration,
    /// Requests that are still unsent now are given up and counted as such.
    pub(crate) give_up: Duration,
}

/// One connection's part in a run.
pub(crate) struct Worker<'a> {
    /// The connection.
    pub(crate) connection: Connection,
    /// The counts of this thread.
    pub(crate) tally: Rc<RefCell<Tally>>,
    /// Counts for the progress line.
    pub(crate) live: &'a Live,
    /// The times.
    pub(crate) span: Span,
}

impl Worker<'_> {
    /// Open loop: sends what `schedule` says until it is exhausted.
    pub(crate) async fn follow<C: Clock>(&mut self, schedule: &Mutex<Schedule>, clock: &mut C) {
        while let Some(arrival) = claim(schedule) {
            let free_at = clock.now();
            if free_at > self.span.give_up {
                self.count(arrival.at, Err(Failure::NeverSent), free_at.saturating_sub(arrival.at));
                continue;
            }
            clock.wait_until(arrival.at).await;
            // Only the time after both the intended start and the end of the last answer is the generator's.
            let lag = clock.now().saturating_sub(arrival.at.max(free_at));
            if arrival.at >= self.span.warm_up {
                self.tally.borrow_mut().sent(lag, free_at > arrival.at);
            }
            // Counted there: the schedule goes on whatever became of it.
            let _ = self.exchange(arrival, clock).await;
        }
    }

    /// Closed loop: sends the next request when the last is answered. `index` and then every `stride`th payload.
    pub(crate) async fn hammer<C: Clock>(&mut self, mut index: u64, stride: u64, clock: &C) {
        loop {
            let at = clock.now();
            if at >= self.span.end {
                return;
            }
            let result = self.exchange(Arrival { index, at }, clock).await;
            if matches!(result, Err(Failure::Connect(_))) {
                tokio::time::sleep(CONNECT_BACKOFF).await;
            }
            index = index.wrapping_add(stride);
        }
    }

    async fn exchange<C: Clock>(&mut self, arrival: Arrival, clock: &C) -> Result<u16, Failure> {
        let counted = arrival.at >= self.span.warm_up;
        let result = self.connection.exchange(arrival.index, counted).await;
        self.count(arrival.at, result, clock.now().saturating_sub(arrival.at));
        result
    }

    /// Counts the end of the request meant for `at`.
    fn count(&self, at: Duration, result: Result<u16, Failure>, latency: Duration) {
        self.live.done.fetch_add(1, Ordering::Relaxed);
        if !matches!(result, Ok(200..300)) {
            self.live.errors.fetch_add(1, Ordering::Relaxed);
        }
        if at < self.span.warm_up {
            return;
        }
        let mut tally = self.tally.borrow_mut();
        match result {
            Ok(status) => tally.answered(status, latency),
            Err(failure) => tally.failed(failure, latency),
        }
    }
}

fn claim(schedule: &Mutex<Schedule>) -> Option<Arrival> {
    schedule.lock().expect("no holder panics").next()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;

    use super::*;
    use crate::schedule::Arrivals;
    use crate::target::{RequestShape, Target, Url};

    /// Time that passes only when someone says so: waiting jumps to the start waited for, the server adds its service.
    #[derive(Clone, Default)]
    struct VirtualClock(Arc<AtomicU64>);

    impl VirtualClock {
        fn advance(&self, by: Duration) {
            self.0.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        }
    }

    impl Clock for VirtualClock {
        fn now(&self) -> Duration {
            Duration::from_nanos(self.0.load(Ordering::SeqCst))
        }

        async fn wait_until(&mut self, at: Duration) {
            self.0.fetch_max(at.as_nanos() as u64, Ordering::SeqCst);
        }
    }

    /// A server on a real socket that answers each request after 1 virtual millisecond, request 50 after a whole
    /// second. Ends when the client closes.
    fn serve(clock: VirtualClock) -> (SocketAddr, std::thread::JoinHandle<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0u8; 4096];
            let mut served = 0;
            while stream.read(&mut request).unwrap() > 0 {
                clock.advance(Duration::from_millis(if served == 50 { 1_000 } else { 1 }));
                served += 1;
                let answer = b"HTTP/1.1 200 OK\r\nX-Clary-Artifact: v1\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).unwrap();
            }
            served
        });
        (address, server)
    }

    /// Runs 100 requests a second for two virtual seconds on one connection: the tally and what the server saw.
    fn run(closed: bool) -> (Tally, u64) {
        let clock = VirtualClock::default();
        let (address, server) = serve(clock.clone());
        let url = Url::parse(&format!("http://{address}/")).unwrap();
        let target = Arc::new(Target::new(&url, &RequestShape::default(), &[]).unwrap());
        let watched = vec!["x-clary-artifact".to_owned()].into();
        let tally = Rc::new(RefCell::new(Tally::new(1)));
        let end = Duration::from_secs(2);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let connection =
                Connection::new(target, None, Duration::from_secs(60), watched, Rc::clone(&tally));
            let span = Span { warm_up: Duration::ZERO, end, give_up: end * 10 };
            let live = Live::default();
            let mut worker = Worker { connection, tally: Rc::clone(&tally), live: &live, span };
            if closed {
                worker.hammer(0, 1, &clock).await;
            } else {
                let schedule = Mutex::new(Schedule::new(Arrivals::Constant, 100.0, end, 0));
                worker.follow(&schedule, &mut clock.clone()).await;
            }
        });
        (Rc::into_inner(tally).unwrap().into_inner(), server.join().unwrap())
    }

    fn slower_than(tally: &Tally, limit: Duration) -> u64 {
        tally
            .latency
            .iter_recorded()
            .filter(|value| value.value_iterated_to() > limit.as_nanos() as u64)
            .map(|v| v.count_at_value())
            .sum()
    }

    #[test]
    fn a_stall_shows_in_every_request_meant_for_it() {
        let (tally, served) = run(false);
        assert_eq!((served, tally.answers()), (200, 200));
        // Request 50 is meant for 0.5 s and answered at 1.5 s; request 50 + k, meant for 0.5 s + 10k ms, at
        // 1.5 s + k ms: it takes 1,000 - 9k ms, above 104 ms for every k below 100. It had to wait for k up to 110.
        // (The limits lie between two latencies: the histogram's buckets are 0.1 % wide.)
        assert_eq!(slower_than(&tally, Duration::from_millis(104)), 100);
        assert_eq!(slower_than(&tally, Duration::from_millis(509)), 55);
        assert_eq!(tally.latency_at(0.25).as_millis(), 1);
        assert!(tally.latency_at(0.99) > Duration::from_millis(970));
        assert_eq!(tally.queued, 110);
        assert_eq!(tally.generator_lag.max(), 0);
        assert_eq!(tally.header_values[0]["v1"], 200);
    }

    #[test]
    fn a_closed_loop_omits_the_stall() {
        let (tally, served) = run(true);
        assert_eq!(served, tally.answers());
        assert_eq!(slower_than(&tally, Duration::from_millis(100)), 1, "one slow request in {served}");
        assert_eq!(tally.latency_at(0.99).as_millis(), 1);
    }
}
