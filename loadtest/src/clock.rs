//! Time since the start of a run, as a seam: workers ask a [`Clock`], so that tests drive them through a stalled
//! server without waiting and without asserting wall-clock time.

use std::time::{Duration, Instant};

/// Time since the start of the run.
pub(crate) trait Clock {
    /// Now.
    fn now(&self) -> Duration;

    /// Returns at `at`, or at once when that is past.
    async fn wait_until(&mut self, at: Duration);
}

/// The machine's clock, with an alarm finer than a millisecond.
#[derive(Debug)]
pub(crate) struct RealClock {
    start: Instant,
    alarm: Alarm,
}

impl RealClock {
    /// Counts from `start`.
    ///
    /// # Errors
    /// When the system has no timer left.
    pub(crate) fn new(start: Instant) -> std::io::Result<Self> {
        Ok(Self { start, alarm: Alarm::new()? })
    }
}

impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    async fn wait_until(&mut self, at: Duration) {
        let wait = at.saturating_sub(self.start.elapsed());
        if !wait.is_zero() {
            self.alarm.after(wait).await;
        }
    }
}

/// A timerfd watched by the runtime. tokio's own timers tick once a millisecond: twenty times the latency that is to
/// be measured, and every late start counts as latency.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Alarm {
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    // The sound replacement is an unsafe function, and this workspace has no unsafe code.
    #[expect(deprecated, reason = "unsound only for types whose AsRawFd lies; an OwnedFd owns what it names")]
    fn new() -> std::io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)? })
    }

    async fn after(&mut self, wait: Duration) {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let spec = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() },
        };
        let armed = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &spec);
        if armed.is_err() {
            return tokio::time::sleep(wait).await;
        }
        let mut expirations = [0u8; 8];
        // Readiness may be stale: only a successful read says that the timer has fired.
        while let Ok(mut ready) = self.timer.readable().await {
            let read =
                ready.try_io(|timer| rustix::io::read(timer.get_ref(), &mut expirations).map_err(Into::into));
            if matches!(read, Ok(Ok(_))) {
                return;
            }
        }
    }
}

/// Elsewhere: the runtime's timer, to the millisecond.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn after(&mut self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_never_rings_early() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut clock = RealClock::new(Instant::now()).unwrap();
            for micros in [0, 30, 300, 2_500, 2_400] {
                let at = Duration::from_micros(micros);
                clock.wait_until(at).await;
                assert!(clock.now() >= at, "{:?} is before {at:?}", clock.now());
            }
        });
    }
}
