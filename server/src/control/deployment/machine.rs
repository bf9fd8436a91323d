//! What comes next in a deployment: a pure function of its progress, the clock, the fleets' health and the alarms.
//!
//! ```text
//! Provision ─healthy─► Shift(k) ─► Bake ─no alarm─► k < n ? Shift(k + 1) : TerminationWait ─► Drain ─► Finish
//!     │ refused             └────────── an alarm, or out of time ──────────┐
//!     └───────────────────────────────────────────────────────────────────►└─► Rollback ─drained─► Taken back
//! ```
//!
//! Waits of no length are passed over, so that a plain update stores four states, not seven.

use wire::Timestamp;

use super::policy::{Policy, Routing};
use crate::control::endpoint::{Phase, Progress};

/// The new fleet, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is being fetched, loaded and warmed.
    Loading,
    /// It can serve.
    Ready,
    /// It cannot.
    Failed(String),
}

/// What is known when the next step is decided.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The clock.
    pub now: Timestamp,
    /// When the deployment began.
    pub started: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// How many steps it has.
    pub steps: u32,
    /// Its rules.
    pub policy: &'a Policy,
    /// The new fleet.
    pub green: Health,
    /// One of its alarms that is in `ALARM`.
    pub alarm: Option<&'a str>,
    /// Whether the last request of the fleet that leaves is over (or has had its time).
    pub is_drained: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing until something happens, or until this moment.
    Wait(Option<Timestamp>),
    /// Store this progress, then do what it says.
    Go(Progress),
    /// Take it back, for this reason.
    TakeBack(String),
    /// The new fleet serves alone: the deployment is over.
    Finish,
    /// The old fleet serves alone again.
    TakenBack,
}

/// What comes next.
pub fn next(at: &Situation<'_>) -> Next {
    let phase = at.progress.phase;
    // Traffic may have moved long ago: after a restart, what served then may not be had any more.
    if phase != Phase::Rollback
        && let Health::Failed(reason) = &at.green
    {
        return Next::TakeBack(reason.clone());
    }
    if matches!(phase, Phase::Provision | Phase::Shift | Phase::Bake)
        && let Some(reason) = at.failure()
    {
        return Next::TakeBack(reason);
    }
    let since = at.progress.since;
    match phase {
        Phase::Provision if at.green == Health::Ready => at.go(Phase::Shift, 1),
        Phase::Provision => Next::Wait(Some(at.times_out())),
        Phase::Shift => at.after_shift(),
        Phase::Bake if at.now >= since.plus_millis(at.policy.wait_ms) => at.after_bake(),
        Phase::Bake => Next::Wait(Some(since.plus_millis(at.policy.wait_ms).min(at.times_out()))),
        Phase::TerminationWait => {
            let until = since.plus_millis(at.policy.termination_wait_ms);
            if at.now >= until { at.go(Phase::Drain, at.steps) } else { Next::Wait(Some(until)) }
        }
        Phase::Drain if at.is_drained => Next::Finish,
        Phase::Rollback if at.is_drained => Next::TakenBack,
        Phase::Drain | Phase::Rollback => Next::Wait(None),
    }
}

impl Situation<'_> {
    /// Why it has to be taken back now.
    fn failure(&self) -> Option<String> {
        // An alarm that is off at the start would take the first step back; nothing is risked for it. Between the
        // steps only baking looks.
        if let Some(alarm) = self.alarm.filter(|_| self.progress.phase != Phase::Shift) {
            let when =
                if self.progress.phase == Phase::Bake { "while baking" } else { "before traffic moved" };
            return Some(format!("alarm {alarm} was in ALARM {when}"));
        }
        (self.now >= self.times_out()).then(|| {
            let limit = self.policy.execution_max_ms / 1000;
            format!("the deployment took longer than MaximumExecutionTimeoutInSeconds ({limit})")
        })
    }

    fn times_out(&self) -> Timestamp {
        self.started.plus_millis(self.policy.execution_max_ms)
    }

    fn after_shift(&self) -> Next {
        if self.policy.wait_ms > 0 { self.go(Phase::Bake, self.progress.step) } else { self.after_bake() }
    }

    fn after_bake(&self) -> Next {
        if self.progress.step < self.steps {
            self.go(Phase::Shift, self.progress.step + 1)
        } else if self.policy.termination_wait_ms > 0 && !matches!(self.policy.routing, Routing::Rolling(_)) {
            self.go(Phase::TerminationWait, self.steps)
        } else {
            self.go(Phase::Drain, self.steps)
        }
    }

    fn go(&self, phase: Phase, step: u32) -> Next {
        Next::Go(Progress { phase, step, since: self.now })
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::Size;
    use super::*;

    /// A deployment under a fake clock: each line of its history is a phase, its step, and the second it began.
    struct Run {
        policy: Policy,
        steps: u32,
        now: i64,
        progress: Progress,
        history: Vec<String>,
    }

    impl Run {
        fn new(routing: Routing, wait_s: i64, termination_s: i64) -> Self {
            let steps = match routing {
                Routing::AllAtOnce => 1,
                Routing::Canary(_) => 2,
                Routing::Linear(_) | Routing::Rolling(_) => 4,
            };
            let policy = Policy {
                routing,
                wait_ms: wait_s * 1000,
                termination_wait_ms: termination_s * 1000,
                execution_max_ms: 600_000,
                alarms: vec!["errors".into()],
            };
            let progress = Progress { phase: Phase::Provision, step: 0, since: Timestamp(0) };
            Self { policy, steps, now: 0, progress, history: Vec::new() }
        }

        fn look(&self, alarm: Option<&str>, green: Health, is_drained: bool) -> Next {
            next(&Situation {
                now: Timestamp(self.now),
                started: Timestamp(0),
                progress: self.progress,
                steps: self.steps,
                policy: &self.policy,
                green,
                alarm,
                is_drained,
            })
        }

        /// Runs to the end; the alarm goes off at `alarm_s`, the new fleet is ready at `ready_s`.
        fn run(mut self, ready_s: i64, alarm_s: Option<i64>) -> String {
            for _ in 0..100 {
                let alarm = alarm_s.filter(|at| self.now >= at * 1000).map(|_| "errors");
                let green = if self.now >= ready_s * 1000 { Health::Ready } else { Health::Loading };
                match self.look(alarm, green, true) {
                    Next::Go(progress) => self.enter(progress),
                    Next::Wait(Some(until)) => {
                        // The clock goes on to whatever comes first.
                        let events =
                            [Some(ready_s), alarm_s].into_iter().flatten().map(|second| second * 1000);
                        let event = events.filter(|at| *at > self.now).min().unwrap_or(i64::MAX);
                        self.now = until.0.min(event);
                    }
                    Next::Wait(None) => panic!("everything is drained at once"),
                    Next::TakeBack(reason) => {
                        self.history.push(reason);
                        self.enter(Progress { phase: Phase::Rollback, step: 0, since: Timestamp(self.now) });
                    }
                    Next::Finish => return self.history.join(" ") + " finished",
                    Next::TakenBack => return self.history.join(" ") + " taken back",
                }
            }
            panic!("it does not end: {:?}", self.history);
        }

        fn enter(&mut self, progress: Progress) {
            self.progress = progress;
            self.history.push(format!("{:?}{}@{}", progress.phase, progress.step, self.now / 1000));
        }
    }

    fn check(run: Run, ready_s: i64, alarm_s: Option<i64>, expected: &str) {
        assert_eq!(run.run(ready_s, alarm_s), expected);
    }

    const TENTH: Size = Size::CapacityPercent(10);

    #[test]
    fn a_plain_update_waits_for_nothing_but_its_fleet() {
        check(Run::new(Routing::AllAtOnce, 0, 0), 0, None, "Shift1@0 Drain1@0 finished");
        check(Run::new(Routing::AllAtOnce, 0, 0), 7, None, "Shift1@7 Drain1@7 finished");
    }

    #[test]
    fn each_policy_takes_its_steps() {
        let all = Run::new(Routing::AllAtOnce, 60, 30);
        check(all, 5, None, "Shift1@5 Bake1@5 TerminationWait1@65 Drain1@95 finished");
        let canary = Run::new(Routing::Canary(TENTH), 60, 0);
        check(canary, 0, None, "Shift1@0 Bake1@0 Shift2@60 Bake2@60 Drain2@120 finished");
        let linear = Run::new(Routing::Linear(TENTH), 10, 5);
        let expected = "Shift1@0 Bake1@0 Shift2@10 Bake2@10 Shift3@20 Bake3@20 Shift4@30 Bake4@30 \
            TerminationWait4@40 Drain4@45 finished";
        check(linear, 0, None, expected);
        let rolling = Run::new(Routing::Rolling(TENTH), 0, 0);
        check(rolling, 0, None, "Shift1@0 Shift2@0 Shift3@0 Shift4@0 Drain4@0 finished");
    }

    #[test]
    fn an_alarm_takes_it_back() {
        let canary = || Run::new(Routing::Canary(TENTH), 60, 0);
        let baking = "alarm errors was in ALARM while baking";
        check(canary(), 0, Some(30), &format!("Shift1@0 Bake1@0 {baking} Rollback0@30 taken back"));
        let late = format!("Shift1@0 Bake1@0 Shift2@60 Bake2@60 {baking} Rollback0@90 taken back");
        check(canary(), 0, Some(90), &late);
        let early = "alarm errors was in ALARM before traffic moved Rollback0@0 taken back";
        check(canary(), 5, Some(0), early);
    }

    #[test]
    fn alarms_count_until_the_last_bake_is_over() {
        let all = Run::new(Routing::AllAtOnce, 60, 30);
        check(all, 0, Some(70), "Shift1@0 Bake1@0 TerminationWait1@60 Drain1@90 finished");
    }

    #[test]
    fn out_of_time_takes_it_back() {
        let reason = "the deployment took longer than MaximumExecutionTimeoutInSeconds (600)";
        let never_ready = Run::new(Routing::AllAtOnce, 0, 0);
        check(never_ready, 1000, None, &format!("{reason} Rollback0@600 taken back"));
        let long = Run::new(Routing::Linear(TENTH), 250, 0);
        let expected = format!(
            "Shift1@0 Bake1@0 Shift2@250 Bake2@250 Shift3@500 Bake3@500 {reason} Rollback0@600 taken back"
        );
        check(long, 0, None, &expected);
    }

    #[test]
    fn an_unhealthy_fleet_gets_no_traffic() {
        let mut run = Run::new(Routing::Canary(TENTH), 60, 0);
        for phase in [Phase::Provision, Phase::Shift, Phase::Bake, Phase::TerminationWait, Phase::Drain] {
            run.progress.phase = phase;
            let found = run.look(None, Health::Failed("broken".into()), true);
            assert_eq!(found, Next::TakeBack("broken".into()), "{phase:?}");
        }
        run.progress.phase = Phase::Rollback;
        assert_eq!(run.look(None, Health::Failed("broken".into()), true), Next::TakenBack);
    }

    #[test]
    fn a_fleet_that_leaves_finishes_its_requests() {
        let mut run = Run::new(Routing::AllAtOnce, 0, 0);
        for (phase, end) in [(Phase::Drain, Next::Finish), (Phase::Rollback, Next::TakenBack)] {
            run.progress.phase = phase;
            // Neither an alarm nor the clock matters any more.
            run.now = 10_000_000;
            assert_eq!(run.look(Some("errors"), Health::Ready, false), Next::Wait(None));
            assert_eq!(run.look(Some("errors"), Health::Ready, true), end);
        }
    }
}
