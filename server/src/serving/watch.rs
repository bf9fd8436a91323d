//! When to load an artifact again: a pure state machine over the signatures that polling sees.
//!
//! A half-written file must not be loaded, and a broken one not again and again. So a new signature is acted on when
//! it was seen twice in a row, and a refused one is left alone until it changes.

use crate::store::Signature;

/// What to do after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing changed, or it is still changing.
    Wait,
    /// Load what is there.
    Load,
}

/// What is known of an artifact's place.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was last loaded or refused.
    settled: Option<Signature>,
    /// What was last seen and is neither.
    candidate: Option<Signature>,
}

impl Watch {
    /// A look found `signature`.
    pub(super) fn see(&mut self, signature: &Signature) -> Action {
        if self.settled.as_ref() == Some(signature) {
            self.candidate = None;
            return Action::Wait;
        }
        // There is nothing to protect before the first artifact, and a start should be quick.
        if self.candidate.as_ref() == Some(signature) || self.settled.is_none() {
            return Action::Load;
        }
        self.candidate = Some(signature.clone());
        Action::Wait
    }

    /// Loading ended, well or not; `before` and `after` were seen around it. Whether it counts: if they differ, the
    /// artifact changed under the loader, and what it found is neither the old one nor the new.
    pub(super) fn settle(&mut self, before: Signature, after: Option<&Signature>) -> bool {
        let is_steady = after == Some(&before);
        if is_steady {
            self.settled = Some(before);
            self.candidate = None;
        } else {
            self.candidate = after.cloned();
        }
        is_steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(text: &str) -> Signature {
        Signature::new(text)
    }

    /// Feeds looks; a load settles at once.
    fn check(seen: &[&str], actions: &[Action]) {
        let mut watch = Watch::default();
        for (look, (&seen, &expected)) in seen.iter().zip(actions).enumerate() {
            let seen = signature(seen);
            assert_eq!(watch.see(&seen), expected, "look {look}");
            if expected == Action::Load {
                assert!(watch.settle(seen.clone(), Some(&seen)));
            }
        }
    }

    #[test]
    fn the_first_loads_at_once_and_a_change_when_it_holds_still() {
        use Action::{Load, Wait};
        check(&["a", "a", "a"], &[Load, Wait, Wait]);
        check(&["a", "b", "b", "b"], &[Load, Wait, Load, Wait]);
        check(&["a", "b", "c", "c"], &[Load, Wait, Wait, Load]);
        check(&["a", "b", "a", "b", "b"], &[Load, Wait, Wait, Wait, Load]);
    }

    #[test]
    fn what_changed_under_the_loader_does_not_count() {
        let mut watch = Watch::default();
        let (a, b) = (signature("a"), signature("b"));
        assert_eq!(watch.see(&a), Action::Load);
        assert!(!watch.settle(a.clone(), Some(&b)));
        assert_eq!(watch.see(&b), Action::Load);
        assert!(watch.settle(b.clone(), Some(&b)));
        assert_eq!(watch.see(&a), Action::Wait);
        assert_eq!(watch.see(&a), Action::Load);
        assert!(!watch.settle(a.clone(), None));
        assert_eq!(watch.see(&a), Action::Wait);
    }
}
