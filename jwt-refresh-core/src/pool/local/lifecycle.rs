//! Whether a pool is open, and what closing it has done.

use crate::pool::close_report::CloseReport;

#[derive(Clone, Copy, Debug)]
pub(super) enum Lifecycle {
    Open,
    /// No lease and no exchange begins any more. Those that were under way go on, and revocations
    /// begin.
    Closing(Closed),
    /// Nothing begins any more, and jobs that were under way are cut off.
    CutOff(Closed),
}

/// What a pool had when it was closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    /// How many callers waited for a lease.
    pub(super) waiters: usize,
    /// How many jobs were under way, and revocations not begun, then or later.
    pub(super) jobs: usize,
    /// How many jobs were cut off.
    pub(super) cut_off: usize,
}

impl Lifecycle {
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open)
    }

    /// Returns whether revocations may begin.
    pub(super) fn may_revoke(self) -> bool {
        !matches!(self, Self::CutOff(_))
    }

    /// Notes a revocation that has to be done.
    pub(super) fn count_revocation(&mut self) {
        if let Self::Closing(closed) | Self::CutOff(closed) = self {
            closed.jobs += 1;
        }
    }

    /// Notes that the `running` jobs are cut off. Returns whether that is new.
    pub(super) fn cut_off(&mut self, running: usize) -> bool {
        let Self::Closing(closed) = *self else { return false };
        *self = Self::CutOff(Closed { cut_off: running, ..closed });
        true
    }

    /// Returns what came of closing the pool, of which `running` jobs still run and `revocations`
    /// were not begun.
    pub(super) fn report(self, leases: usize, running: usize, revocations: usize) -> CloseReport {
        let (Self::Closing(closed) | Self::CutOff(closed)) = self else { return CloseReport::default() };
        CloseReport {
            waiters: closed.waiters,
            leases,
            ended: closed.jobs.saturating_sub(closed.cut_off.max(running) + revocations),
            cut_off: closed.cut_off.saturating_sub(running),
            unfinished: running,
            unsaved: 0,
            revocations,
        }
    }
}
