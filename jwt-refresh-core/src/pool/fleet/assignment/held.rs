//! What the members of a fleet hold already, and may keep.

use std::collections::BTreeSet;

use super::needs::{AssignedShare, Needs};

/// What the members hold when a pass begins.
pub(super) struct HeldAccounts<'w> {
    pub(super) needs: &'w Needs<'w>,
    pub(super) shares: &'w [Vec<AssignedShare>],
    /// By member: the accounts it holds, whole ones first.
    pub(super) held_by: Vec<Vec<usize>>,
    /// Accounts with one unit that a member holds for callers' keys alone: only a turn takes them.
    pub(super) pinned: BTreeSet<usize>,
}

impl<'w> HeldAccounts<'w> {
    pub(super) fn new(needs: &'w Needs<'w>, shares: &'w [Vec<AssignedShare>]) -> Self {
        let mut held_by = vec![Vec::new(); needs.members.len()];
        for whole in [true, false] {
            for (account, shares) in shares.iter().enumerate().filter(|(_, shares)| (shares.len() == 1) == whole) {
                for share in shares {
                    held_by[share.member].push(account);
                }
            }
        }
        let pins = |account: usize| match *shares[account] {
            [AssignedShare { member, .. }] if needs.capacity(account) == 1 && needs.wants(member, account) => {
                !needs.demands_of[member].iter().any(|&demand| needs.serves(account, demand))
            }
            _ => false,
        };
        let pinned = needs.wanted.keys().copied().filter(|&account| pins(account)).collect();
        Self { needs, shares, held_by, pinned }
    }

    /// What the member of `demand` holds already and may keep for it: preferably what its callers'
    /// keys belong to, if it could not have part of that otherwise.
    pub(super) fn kept(&self, demand: usize, may_keep: impl Fn(usize) -> bool) -> Option<usize> {
        let member = self.needs.demands[demand].member;
        let fits = |account: &usize| may_keep(*account) && self.needs.serves(*account, demand);
        let held = self.held_by[member].iter().copied();
        let wants = |account: &usize| self.needs.capacity(*account) == 1 && self.needs.wants(member, *account);
        let has_keys = !self.needs.members[member].wanted.is_empty();
        let by_key = has_keys.then(|| held.clone().filter(wants).find(fits)).flatten();
        by_key.or_else(|| held.clone().find(fits))
    }
}
