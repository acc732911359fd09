//! How many jobs of a pool run at once, and which kinds of them may take how many of the places.
//!
//! A job that hangs takes its place for as long as its time-out, so jobs of accounts that may hang
//! must not take all places. Accounts that have served go before all others, and a part of the
//! places is kept free for them.

/// Which jobs go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// The exchange of an account that has served, and whose last exchange did not fail.
    Serving,
    /// The first login of an account.
    Joining,
    /// An exchange of an account whose last one failed.
    Failing,
    /// A revocation for an account that was removed.
    Revocation,
}

impl Priority {
    pub(super) const ALL: [Self; 4] = [Self::Serving, Self::Joining, Self::Failing, Self::Revocation];
}

#[derive(Debug)]
pub(super) struct Slots {
    /// How many jobs may run at once.
    most: usize,
    running: [usize; Priority::ALL.len()],
    /// How many accounts have had tokens at some time. Places are kept free for these.
    joined: usize,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self { most, running: [0; Priority::ALL.len()], joined: 0 }
    }

    /// Returns how many places are kept free for accounts that have served: a quarter, unless there
    /// is only one place.
    pub(super) fn kept(&self) -> usize {
        if self.most > 1 { self.most.div_ceil(4) } else { 0 }
    }

    /// Notes that an account has tokens for the first time.
    pub(super) fn account_joined(&mut self) {
        self.joined += 1;
    }

    /// Notes that such an account was removed.
    pub(super) fn account_removed(&mut self) {
        self.joined -= 1;
    }

    /// Returns whether a job of this priority may begin.
    pub(super) fn is_free(&self, priority: Priority) -> bool {
        let kept = if self.joined > 0 { self.kept() } else { 0 };
        let of_others = self.total() - self.of(Priority::Serving);
        let is_within_share = match priority {
            Priority::Serving | Priority::Joining => true,
            Priority::Failing => self.of(Priority::Failing) < (self.most / 2).max(1),
            Priority::Revocation => self.of(Priority::Revocation) < self.kept().max(1),
        };
        let is_kept_free = priority == Priority::Serving || of_others < self.most - kept;
        self.total() < self.most && is_within_share && is_kept_free
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn begin(&mut self, priority: Priority) {
        self.running[priority as usize] += 1;
    }

    pub(super) fn end(&mut self, priority: Priority) {
        self.running[priority as usize] -= 1;
    }

    /// Returns how many jobs run.
    pub(super) fn total(&self) -> usize {
        self.running.iter().sum()
    }

    fn of(&self, priority: Priority) -> usize {
        self.running[priority as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many jobs of each priority begin if as many as possible of the first do, then of
    /// the second, and so on.
    fn filled<const N: usize>(most: usize, joined: usize, order: [Priority; N]) -> [usize; N] {
        let mut slots = Slots { joined, ..Slots::new(most) };
        order.map(|priority| {
            let before = slots.total();
            while slots.is_free(priority) {
                slots.begin(priority);
            }
            slots.total() - before
        })
    }

    #[test]
    fn jobs_that_may_hang_leave_places_to_accounts_that_serve_and_to_each_other() {
        use Priority as P;
        assert_eq!(filled(16, 1, [P::Failing, P::Revocation, P::Joining, P::Serving]), [8, 4, 0, 4]);
        assert_eq!(filled(16, 1, [P::Failing, P::Joining, P::Revocation, P::Serving]), [8, 4, 0, 4]);
        assert_eq!(filled(16, 1, [P::Joining, P::Serving]), [12, 4]);
        assert_eq!(filled(16, 1, [P::Serving, P::Joining]), [16, 0]);
        assert_eq!(filled(16, 0, [P::Joining]), [16], "there is nothing to keep them for");
        assert_eq!(filled(2, 1, [P::Failing, P::Serving]), [1, 1]);
        assert_eq!(filled(1, 1, [P::Failing, P::Serving]), [1, 0]);
    }

    #[test]
    fn each_kind_of_job_may_run_whatever_the_number_of_places() {
        for most in 1..40 {
            for priority in Priority::ALL {
                assert!(filled(most, 1, [priority])[0] > 0, "{priority:?} of {most}");
            }
        }
    }
}
