//! The shares that a process of a fleet has of accounts whose tokens are supplied, until when it
//! has them, and which of its callers they cannot serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rank::Slot;
use super::tag_uses::TagUses;
use super::time::NEVER;
use crate::error::Error;
use crate::pool::limits::{Limits, TagIndex};
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::Share;

/// How much the tokens of an account have served before this process had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    Nothing,
    /// The sequence of a token, and how many leases it has served.
    Token(u64, u32),
    /// Nobody knows.
    Unknown,
}

/// A share that this process has.
pub(super) struct HeldShare {
    pub(super) share: Share,
    /// The limits of the whole account.
    pub(super) whole: Arc<Limits>,
    pub(super) served: Served,
    /// The sequence of the last token that may not be used any more, and why.
    pub(super) spent: Option<(u64, QuarantineCause)>,
    /// Whether the account is out of service for what another process says of it.
    pub(super) is_unavailable: bool,
    /// The rest that others were told of who have parts of the account.
    pub(super) told_others: Option<Quarantine>,
    /// The account's rest that has to go on when both have ended.
    pub(super) rest: Option<Quarantine>,
    /// Whether the account is counted as one that serves.
    pub(super) is_counted: bool,
}

impl HeldShare {
    /// Whether what other processes say covers what is true of the account here.
    pub(super) fn is_covered(&self) -> bool {
        self.is_unavailable || self.told_others.is_some()
    }
}

/// What was reported of leases after the share that they are of had gone to another process.
#[derive(Default)]
pub(super) struct LateReport {
    /// The sequence of the token that may not be used any more, and why.
    pub(super) spent: Option<(u64, QuarantineCause)>,
    pub(super) rest: Option<Quarantine>,
    /// What calls have cost above what they were charged, as far as the fleet was not told.
    pub(super) cost: u64,
}

/// All shares of a process.
pub(super) struct ShareTable {
    pub(super) held: BTreeMap<Slot, HeldShare>,
    /// Of accounts that this process has no share of.
    pub(super) late: BTreeMap<Slot, LateReport>,
    /// How many accounts whose tokens are supplied serve here, for each tag.
    pub(super) serving: BTreeMap<TagIndex, usize>,
    /// What callers use of each tag.
    pub(super) uses: TagUses,
    /// The account after the last that was looked at for a caller that waits.
    pub(super) looked_at: Slot,
    /// Whether any account's tokens are supplied.
    pub(super) is_fleet: bool,
    /// Whether a caller has begun to wait for what does not serve here.
    pub(super) has_new_demand: bool,
    /// When the shares end, in nanoseconds since boot.
    pub(super) end: i64,
    /// Whether they have.
    pub(super) have_ended: bool,
    /// Why the fleet cannot be reached.
    pub(super) disconnected: Option<Error>,
}

impl Default for ShareTable {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            late: BTreeMap::new(),
            serving: BTreeMap::new(),
            uses: TagUses::default(),
            looked_at: 0,
            is_fleet: false,
            has_new_demand: false,
            end: NEVER,
            have_ended: false,
            disconnected: None,
        }
    }
}

impl ShareTable {
    /// Returns why callers do not wait for shares any more, if they do not.
    pub(super) fn refusal(&self) -> Option<&Error> {
        self.disconnected.as_ref().filter(|_| self.have_ended)
    }

    /// Returns when callers are to be refused who wait.
    pub(super) fn next_refusal(&self) -> Option<i64> {
        (self.disconnected.is_some() && !self.have_ended && self.end != NEVER).then_some(self.end)
    }

    /// Counts an account with these tags as one that serves, or not any more. Returns the tags that
    /// no other one has.
    pub(super) fn count(&mut self, slot: Slot, tags: impl Iterator<Item = TagIndex>, serves: bool) -> Vec<TagIndex> {
        let Some(held) = self.held.get_mut(&slot).filter(|held| held.is_counted != serves) else { return Vec::new() };
        held.is_counted = serves;
        let mut left = Vec::new();
        for tag in tags {
            let count = self.serving.entry(tag).or_default();
            *count = if serves { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.serving.remove(&tag);
                left.push(tag);
            }
        }
        left
    }
}
