//! How the programs of a job come to their end: what was asked first holds, and who does not heed it is ended.

use tokio::time::Instant;

use crate::failure::Failure;

/// How the programs ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// By themselves, and well.
    Completed,
    /// They were asked to.
    Stopped,
    /// They took too long.
    MaxRuntime,
    /// They are to run again.
    Suspended,
    /// One of them failed.
    Failed(Failure),
}

/// What was asked of the programs.
#[derive(Debug, Default)]
pub(super) struct Ending {
    asked: Option<End>,
    /// When they are ended, unless that was done.
    kills_at: Option<Instant>,
}

impl Ending {
    /// Asks for an end, after which programs have until `kills_at`; says whether nothing was asked before. If something was, its
    /// end stays, and the time is the shorter of the two.
    pub(super) fn ask(&mut self, end: End, kills_at: Instant) -> bool {
        if self.asked.is_none() {
            (self.asked, self.kills_at) = (Some(end), Some(kills_at));
            return true;
        }
        // Of programs that were asked to end, what they exit with is nothing new.
        if end == End::Suspended {
            self.kills_at = self.kills_at.map(|at| at.min(kills_at));
        }
        false
    }

    /// Whether programs were asked to end.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// When something is to be done: programs are ended, or asked to at the `deadline` of their work.
    pub(super) fn next(&self, deadline: Instant) -> Instant {
        match (&self.asked, self.kills_at) {
            (None, _) => deadline,
            (Some(_), Some(at)) => at,
            // Nothing but to wait. (A time so far off is as none.)
            (Some(_), None) => Instant::now() + std::time::Duration::from_secs(3600),
        }
    }

    /// Programs were ended.
    pub(super) fn killed(&mut self) {
        self.kills_at = None;
    }

    /// How it ended, now that all have.
    pub(super) fn end(&self) -> End {
        self.asked.clone().unwrap_or(End::Completed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failed() -> End {
        End::Failed(Failure::Algorithm("Exit Code: 1".into()))
    }

    #[test]
    fn what_is_asked_first_holds() {
        let now = Instant::now();
        let check = |asked: &[End], expected: End| {
            let mut ending = Ending::default();
            for (index, end) in asked.iter().enumerate() {
                assert_eq!(ending.ask(end.clone(), now), index == 0);
            }
            assert_eq!(ending.end(), expected);
        };
        check(&[], End::Completed);
        check(&[End::Stopped, failed()], End::Stopped);
        check(&[End::MaxRuntime, failed()], End::MaxRuntime);
        check(&[End::MaxRuntime, End::Stopped], End::MaxRuntime);
        check(&[End::Suspended, failed()], End::Suspended);
        check(&[failed(), End::Stopped], failed());
    }

    #[test]
    fn the_server_s_end_shortens_the_time_and_nothing_lengthens_it() {
        let now = Instant::now();
        let (soon, later, deadline) =
            (now + Duration::from_secs(1), now + Duration::from_secs(9), now + Duration::from_secs(5));
        let mut ending = Ending::default();
        assert_eq!(ending.next(deadline), deadline);
        ending.ask(End::Stopped, later);
        assert_eq!(ending.next(deadline), later);
        ending.ask(End::Suspended, soon);
        assert_eq!(ending.next(deadline), soon);
        ending.ask(End::Suspended, later);
        assert_eq!(ending.next(deadline), soon);
        ending.killed();
        assert!(ending.next(deadline) > later);
    }
}
