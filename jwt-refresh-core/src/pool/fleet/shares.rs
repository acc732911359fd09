//! Who holds which share of which account, as the coordinator knows it, and what it writes next.
//!
//! A share moves in steps, so that the units of an account never add up to more than it has: the
//! units are taken from the old holder's row, and count as *leaving* until that member has released
//! them or is gone; only then they are given to another. This file reads no clock and no Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assignment::{AccountNeed, MemberAssignment, MemberNeed, assign};
use super::member_rows::{MemberRows, number};
use super::messages::{
    AccountRow, Release, Reservation, Rest, RowsByMember, RowsOfMember, ShareRow, of_release_field, release_field,
};
use super::seen::Seen;
use super::share_plan::{MemberPlan, SharePlan, written};
use crate::pool::limit::Totals;
use crate::pool::share::{AccountState, KnownState};

#[cfg(test)]
mod tests;

/// How long a member may use a unit that others wait for, too, in milliseconds.
const SLICE: u32 = 250;
/// How long it is remembered what was released of accounts that were removed, in microseconds.
const REMEMBERED: u64 = 24 * 3600 * 1_000_000;

#[derive(Default)]
pub(super) struct Shares {
    members: BTreeMap<String, MemberRows>,
    accounts: BTreeMap<String, AccountShares>,
    /// The rests of accounts that were divided when one of their members was told to rest.
    rests: BTreeMap<String, Rest>,
    /// The latest grant, and how far the clock of grants is ahead of Redis' clock, which may have
    /// been set back.
    latest_grant: u64,
    ahead: u64,
}

/// Who has units of an account.
#[derive(Default)]
struct AccountShares {
    /// How many units are given, or leaving.
    units: u32,
    /// What was released, by the member that did.
    released: BTreeMap<String, (Release, String)>,
}

impl Shares {
    /// Starts from what Redis holds: the rows of each member. If it does not hold until when one
    /// may use them, that is `until`.
    pub(super) fn from_rows(rows: RowsByMember, until: u64, boot: u64) -> Self {
        let mut shares = Self::default();
        for (name, rows) in rows {
            shares.set_rows(&name, rows);
            if let Some(member) = shares.members.get_mut(&name) {
                (member.until, member.heard) = (until, boot);
            }
        }
        shares
    }

    fn set_rows(&mut self, name: &str, rows: RowsOfMember) {
        for (account, row) in &rows {
            self.accounts.entry(account.clone()).or_default().units += row.units + row.leaving;
            self.latest_grant = self.latest_grant.max(row.grant);
        }
        let before = std::mem::replace(&mut self.members.entry(name.to_owned()).or_default().rows, rows);
        for (account, row) in before {
            self.accounts.entry(account).or_default().units -= row.units + row.leaving;
        }
    }

    /// Takes what was seen in Redis. A member that Redis does not know any more may have been told
    /// since the last look that it lives, so it is believed to live for a share time from now on.
    pub(super) fn see(&mut self, seen: &Seen, share_time: u64) {
        self.ahead = self.ahead.max((self.latest_grant + 1).saturating_sub(seen.now));
        for (_, member) in self.members.iter_mut().filter(|(name, _)| !seen.until.contains_key(*name)) {
            if !std::mem::replace(&mut member.is_forgotten, true) {
                (member.until, member.heard) = (seen.now + share_time, seen.boot);
            }
        }
        for (name, &until) in &seen.until {
            let member = self.members.entry(name.clone()).or_default();
            member.is_forgotten = false;
            if member.until != until || member.heard == 0 {
                (member.until, member.heard) = (until, seen.boot);
            }
        }
        for (name, report) in &seen.reports {
            let Some(member) = self.members.get_mut(name) else { continue };
            if member.report != *report {
                member.report = report.clone();
            }
        }
    }

    /// Returns how long it takes until the first member is dead, if none says anything more.
    pub(super) fn next_end(&self, seen: &Seen, share_time: u64) -> Option<Duration> {
        let left = |member: &MemberRows| {
            let silent = (member.heard + share_time).saturating_sub(seen.boot);
            member.until.saturating_sub(seen.now).max(silent)
        };
        // A share has ended after its time, and not at it.
        self.members.values().map(left).filter(|left| *left > 0).min().map(|left| Duration::from_micros(left + 1000))
    }

    /// Whether a member lives that has not said what it holds since Redis was another.
    pub(super) fn awaits_claims(&self, incarnation: &str, now: u64) -> bool {
        self.members.values().any(|member| member.until > now && member.report.incarnation != incarnation)
    }

    /// Takes what members say that they hold, after Redis has lost it: of each once, and no more
    /// than an account has. What Redis had of them, in `untrusted`, holds no more. Returns what
    /// confirms it.
    pub(super) fn learn(&mut self, incarnation: &str, untrusted: &mut RowsByMember) -> SharePlan {
        let asks = |member: &MemberRows| member.asks() && member.report.incarnation == incarnation;
        let asking = self.members.iter().filter(|(_, member)| asks(member));
        let asking: Vec<(String, RowsOfMember)> =
            asking.map(|(name, member)| (name.clone(), member.report.claims.clone())).collect();
        for (name, _) in &asking {
            // What it has said before is not another's.
            self.set_rows(name, RowsOfMember::new());
        }
        // What others say that they give back may be the member's already.
        let mut used = BTreeMap::<String, u32>::new();
        let mut count = |account: &String, row: &ShareRow| {
            let used = used.entry(account.clone()).or_default();
            let fits = used.saturating_add(row.units) <= row.of && row.leaving <= row.of;
            *used += if fits { row.units } else { 0 };
            fits
        };
        if !asking.is_empty() {
            for (account, row) in self.members.values().flat_map(|member| &member.rows) {
                count(account, row);
            }
        }
        for (name, mut rows) in asking {
            rows.retain(|account, row| count(account, row));
            self.set_rows(&name, rows);
            self.members.entry(name.clone()).and_modify(MemberRows::answer);
            untrusted.remove(&name);
        }
        let mut plan = SharePlan::default();
        self.write(&mut plan);
        plan
    }

    /// Believes of members that have not said what they hold since Redis was another that they had
    /// what is in `rows`, as far as nobody has claimed that. Those that Redis does not know are
    /// dead.
    pub(super) fn take_unclaimed(&mut self, rows: RowsByMember) {
        for (name, mut rows) in rows {
            let is_known = self.members.get(&name).is_some_and(|member| !member.is_forgotten);
            rows.retain(|account, row| {
                let taken = self.accounts.get(account).map_or(0, |shares| shares.units);
                taken + row.units + row.leaving <= row.of
            });
            self.set_rows(&name, rows);
            if let Some(member) = self.members.get_mut(&name).filter(|_| !is_known) {
                (member.until, member.is_forgotten) = (1, true);
            }
        }
    }

    /// Moves shares towards what members need. Returns what is to be written. `accounts` are those
    /// of the fleet. `lease_ttl` is for how long leases of dead members count, and `share_time` for
    /// how long nothing must have been heard of them, in microseconds.
    pub(super) fn step(
        &mut self,
        accounts: &BTreeMap<String, AccountRow>,
        seen: &Seen,
        (share_time, lease_ttl): (u64, u64),
    ) -> SharePlan {
        let mut plan = SharePlan::default();
        self.take_released(seen, lease_ttl, &mut plan);
        // Also those that a member has told of at its end.
        self.spread_rests(seen.now);
        self.bury(seen, share_time, lease_ttl, accounts, &mut plan);
        self.members.values_mut().filter(|member| member.asks()).for_each(MemberRows::answer);
        let desired = self.desired(accounts, seen.now);
        let divided_anew = self.shrink(&desired, accounts);
        self.grow(&desired, accounts, &divided_anew, seen.now, &mut plan);
        self.count_leases_elsewhere(accounts, seen.now);
        self.forget(accounts, seen.now, &mut plan);
        self.charge_late_costs(seen, &mut plan);
        self.spread_rests(seen.now);
        self.write(&mut plan);
        plan
    }

    /// Takes what members have released.
    fn take_released(&mut self, seen: &Seen, lease_ttl: u64, plan: &mut SharePlan) {
        for (account, shares) in &mut self.accounts {
            shares.released.retain(|member, (release, _)| {
                // If Redis has lost it, its leases count until the member tells of them again.
                let until = *release.until.get_or_insert(seen.now + lease_ttl);
                let is_lost = !seen.released.contains_key(&release_field(account, member));
                release.held > 0 && is_lost && until > seen.now
            });
        }
        for (field, (release, text)) in &seen.released {
            self.latest_grant = self.latest_grant.max(release.grant);
            let Some((name, account)) = of_release_field(field) else {
                plan.forget(field.clone(), text.clone());
                continue;
            };
            let shares = self.accounts.entry(account.to_owned()).or_default();
            if let Some(member) = self.members.get_mut(name)
                && let Some(row) = member.rows.get_mut(account).filter(|row| {
                    // Who has given all of a share back uses no more of it, whatever has been
                    // written since.
                    row.grant == release.grant && (row.step == release.step || release.units == 0)
                })
            {
                // A member that ends gives back what nobody has asked it for.
                let units = row.units.min(release.units);
                let leaving = (release.units - units).min(row.leaving);
                if (units, leaving) != (row.units, row.leaving) {
                    shares.units -= (row.units - units) + (row.leaving - leaving);
                    (row.units, row.leaving) = (units, leaving);
                    member.changed.insert(account.to_owned());
                }
                if row.units == 0 && row.leaving == 0 {
                    plan.leave_late_cost(account, name, row, release.state.as_ref());
                    member.rows.remove(account);
                }
            }
            let counts = release.until.is_none_or(|until| until > seen.now);
            if (release.held > 0 && counts) || release.units == 0 {
                shares.released.insert(name.to_owned(), (release.clone(), text.clone()));
            } else {
                plan.forget(field.clone(), text.clone());
            }
        }
    }

    /// Returns the members whose time is up.
    pub(super) fn dead(&self, seen: &Seen, share_time: u64) -> Vec<String> {
        // If Redis' clock is set forward, a member that lives has not been silent for as long.
        let is_dead = |member: &MemberRows| {
            let is_silent = seen.boot.saturating_sub(member.heard) >= share_time;
            member.until == 0 || (member.until < seen.now && is_silent)
        };
        self.members.iter().filter(|(_, member)| is_dead(member)).map(|(name, _)| name.clone()).collect()
    }

    /// Takes the shares of members whose time is up. The leases that they held count for a while.
    fn bury(
        &mut self,
        seen: &Seen,
        share_time: u64,
        lease_ttl: u64,
        accounts: &BTreeMap<String, AccountRow>,
        plan: &mut SharePlan,
    ) {
        let now = seen.now;
        for name in self.dead(seen, share_time) {
            let Some(member) = self.members.remove(&name) else { continue };
            // Whether it has said at its end of which shares it had heard.
            let has_told = member.until == 0 && seen.reports.contains_key(&name);
            for (account, row) in member.rows {
                let Some(shares) = self.accounts.get_mut(&account) else { continue };
                let units = row.units + row.leaving;
                shares.units -= units;
                let leases =
                    |units| accounts.get(&account).map_or(0, |known| known.definition.leases_of(units, row.of));
                let before = shares.released.get(&name).map(|(release, _)| release);
                let claimed = member.report.claims.get(&account);
                let is_unheard = has_told && claimed.is_none_or(|claimed| claimed.grant != row.grant);
                let end = now + lease_ttl;
                let release = if is_unheard {
                    unheard(&row, before, end)
                } else {
                    let state = spent(&row, &account, seen.reserved.get(&name));
                    // What it told is beyond what its share allows.
                    let held = leases(units) + before.map_or(0, |before| before.held);
                    let held = if leases(row.of) > 0 { held.min(leases(row.of)) } else { held };
                    let ShareRow { grant, step, .. } = row;
                    Some(Release { grant, step, units: 0, held, until: Some(end), state })
                };
                let state = release.as_ref().and_then(|release| release.state.as_ref());
                plan.leave_late_cost(&account, &name, &row, state);
                let Some(release) = release else { continue };
                let (field, text) = (release_field(&account, &name), written(&release));
                let stood = seen.released.get(&field).map(|(_, text)| text.clone()).unwrap_or_default();
                plan.left.push((field, text.clone(), stood));
                shares.released.insert(name.clone(), (release, text));
            }
            plan.members.push(MemberPlan { name, dead: true, fresh: None, rows: Vec::new() });
        }
        // What members that are gone had released before, and hold leases of.
        for (account, shares) in &mut self.accounts {
            for (name, (release, text)) in &mut shares.released {
                if release.held > 0 && release.until.is_none() && !self.members.contains_key(name) {
                    plan.change(account, name, release, text, now + lease_ttl);
                }
            }
        }
    }

    /// Returns how many units of each account each member is to have.
    fn desired(&mut self, accounts: &BTreeMap<String, AccountRow>, now: u64) -> Vec<(String, BTreeMap<String, u32>)> {
        let names: Vec<&String> = accounts.keys().collect();
        let tags: BTreeSet<&String> = accounts.values().flat_map(|row| row.definition.tags()).collect();
        let tags: Vec<&String> = tags.into_iter().collect();
        let account = |(name, row): (&String, &AccountRow)| AccountNeed {
            units: row.definition.units(),
            tags: row.definition.tags().iter().filter_map(|tag| number(&tags, tag)).collect(),
            serves: row.unavailable_at(now).is_none() && !self.is_full_of_the_dead(name, row, now),
        };
        let needs: Vec<AccountNeed> = accounts.iter().map(account).collect();
        let time = now + self.ahead;
        let members = self.members.values_mut().map(|member| member.need((&names, &tags), &needs, time));
        let members: Vec<MemberNeed> = members.collect();
        let assigned = assign(&needs, &members, SLICE);
        for (member, MemberAssignment { turns, .. }) in self.members.values_mut().zip(&assigned) {
            member.set_turns(turns, &names, &tags);
        }
        let desired = assigned.into_iter().map(|MemberAssignment { shares, .. }| {
            let units = shares.into_iter().map(|(account, units)| (names[account as usize].clone(), units));
            units.filter(|(_, units)| *units > 0).collect()
        });
        self.members.keys().cloned().zip(desired).collect()
    }

    /// Returns whether leases of dead members are as many as an account may have.
    fn is_full_of_the_dead(&self, account: &str, row: &AccountRow, now: u64) -> bool {
        let (units, released) = (row.definition.units(), self.accounts.get(account).map(|shares| &shares.released));
        let (most, released) = (row.definition.leases_of(units, units), released.into_iter().flatten());
        let dead = released.filter(|(_, (release, _))| release.until.is_some_and(|until| until > now));
        most > 0 && dead.map(|(_, (release, _))| release.held).sum::<u32>() >= most
    }

    /// Takes units from members that are to have fewer. Returns the accounts of which members have
    /// units that are others by now, since the account is divided anew.
    fn shrink(
        &mut self,
        desired: &[(String, BTreeMap<String, u32>)],
        accounts: &BTreeMap<String, AccountRow>,
    ) -> BTreeSet<String> {
        let mut divided_anew = BTreeSet::new();
        for (name, desired) in desired {
            let Some(member) = self.members.get_mut(name) else { continue };
            for (account, row) in &mut member.rows {
                let is_same = accounts.get(account).is_some_and(|of| of.definition.units() == row.of);
                let units = desired.get(account).copied().filter(|_| is_same).unwrap_or(0);
                if !is_same {
                    divided_anew.insert(account.clone());
                }
                if units < row.units {
                    row.leaving += row.units - units;
                    row.units = units;
                    row.step += 1;
                    member.changed.insert(account.clone());
                }
            }
        }
        divided_anew
    }

    /// Gives free units to members that are to have more, first to those that were promised some.
    fn grow(
        &mut self,
        desired: &[(String, BTreeMap<String, u32>)],
        accounts: &BTreeMap<String, AccountRow>,
        divided_anew: &BTreeSet<String>,
        now: u64,
        plan: &mut SharePlan,
    ) {
        let promised: Vec<_> = self.members.values_mut().map(|member| std::mem::take(&mut member.promised)).collect();
        for is_promised in [true, false] {
            for ((name, desired), promised) in desired.iter().zip(&promised) {
                let due = desired.iter().filter(|(account, _)| promised.contains_key(*account) == is_promised);
                for (account, &wanted) in due.filter(|(account, _)| !divided_anew.contains(*account)) {
                    if let Some(row) = accounts.get(account) {
                        self.give((name, account), (wanted, row.definition.units()), now, plan);
                    }
                }
            }
        }
    }

    /// Gives a member what it is to have of an account, as far as that is free, or promises it.
    fn give(&mut self, (name, account): (&str, &String), (wanted, of): (u32, u32), now: u64, plan: &mut SharePlan) {
        let Some(member) = self.members.get_mut(name) else { return };
        let shares = self.accounts.entry(account.clone()).or_default();
        let row = member.rows.get(account);
        let missing = wanted.saturating_sub(row.map_or(0, |row| row.units));
        // What is leaving is given back first, so that a share is never two.
        let is_leaving = row.is_some_and(|row| row.leaving > 0);
        let given = if is_leaving { 0 } else { missing.min(of.saturating_sub(shares.units)) };
        if given < missing {
            member.promised.insert(account.clone(), missing - given);
        }
        if given == 0 {
            return;
        }
        shares.units += given;
        member.changed.insert(account.clone());
        let known = shares.known((given, of), account, now, plan);
        if let Some(row) = member.rows.get_mut(account) {
            row.units += given;
            row.step += 1;
            // The member may not have heard of the share yet.
            row.known.add(&known);
        } else {
            let grant = now + self.ahead;
            let row = ShareRow { units: given, of, grant, known, ..ShareRow::default() };
            self.latest_grant = grant;
            member.rows.insert(account.clone(), row);
        }
    }

    /// Tells the holders of accounts how many leases others hold that had the account before.
    fn count_leases_elsewhere(&mut self, accounts: &BTreeMap<String, AccountRow>, now: u64) {
        for (name, member) in &mut self.members {
            for (account, row) in &mut member.rows {
                let counts = accounts.get(account).is_some_and(|row| row.definition.counts_leases());
                let Some(shares) = self.accounts.get(account).filter(|_| counts) else { continue };
                let of_others = shares.released.iter().filter(|(other, _)| *other != name);
                let counted = of_others.filter(|(_, (release, _))| release.until.is_none_or(|until| until > now));
                let held = counted.map(|(_, (release, _))| release.held).sum();
                if row.held_elsewhere != held {
                    row.held_elsewhere = held;
                    member.changed.insert(account.clone());
                }
            }
        }
    }

    /// Forgets what was released of accounts and counts no more. Of one that was removed, it is
    /// remembered for a while, in case that the account comes back.
    fn forget(&mut self, accounts: &BTreeMap<String, AccountRow>, now: u64, plan: &mut SharePlan) {
        for (account, shares) in &mut self.accounts {
            let is_removed = shares.units == 0 && !accounts.contains_key(account);
            for (name, (release, text)) in &mut shares.released {
                if is_removed && release.held == 0 && release.until.is_none() {
                    plan.change(account, name, release, text, now + REMEMBERED);
                } else if (is_removed || shares.units > 0) && release.until.is_some_and(|until| until <= now) {
                    plan.forget(release_field(account, name), text.clone());
                }
            }
        }
        self.accounts.retain(|_, shares| shares.units > 0 || !shares.released.is_empty());
    }

    /// Tells the holders of accounts what calls of others have cost beside. While nobody has an
    /// account, that waits in Redis.
    fn charge_late_costs(&mut self, seen: &Seen, plan: &mut SharePlan) {
        for (account, told) in &seen.late_costs {
            for member in self.members.values_mut() {
                let Some(row) = member.rows.get_mut(account).filter(|row| row.units > 0) else { continue };
                row.late_cost = told.iter().fold(row.late_cost, |sum, (cost, _)| sum.saturating_add(*cost));
                for (_, (field, cost)) in told {
                    plan.forget(field.clone(), cost.clone());
                }
                member.changed.insert(account.clone());
            }
        }
    }

    /// Tells all that have a part of an account of the rest that one of them was told. Who was told
    /// of it may be gone, and the coordinator of then: the others' rows have it.
    fn spread_rests(&mut self, now: u64) {
        for member in self.members.values() {
            let of_rows = member.rows.iter().filter_map(|(account, row)| Some((account, row.rest.as_ref()?)));
            for (account, rest) in of_rows.chain(&member.report.rests).filter(|(_, (_, until))| *until > now) {
                let known = self.rests.entry(account.clone()).or_insert_with(|| rest.clone());
                if rest.1 > known.1 {
                    known.clone_from(rest);
                }
            }
        }
        self.rests.retain(|_, (_, until)| *until > now);
        if self.rests.is_empty() {
            return;
        }
        for member in self.members.values_mut() {
            for (account, row) in &mut member.rows {
                let Some(rest) = self.rests.get(account) else { continue };
                if row.rest.as_ref().is_none_or(|(_, until)| *until < rest.1) {
                    row.rest = Some(rest.clone());
                    member.changed.insert(account.clone());
                }
            }
        }
    }

    /// Adds the rows that were changed.
    fn write(&mut self, plan: &mut SharePlan) {
        for (name, member) in &mut self.members {
            let changed = std::mem::take(&mut member.changed);
            let fresh = member.answered.filter(|_| std::mem::take(&mut member.is_fresh)).map(|asks| asks.to_string());
            if changed.is_empty() && fresh.is_none() {
                continue;
            }
            let row = |account: &String| {
                member.rows.get(account).and_then(|row| serde_json::to_string(row).ok()).unwrap_or_default()
            };
            let rows = changed.iter().map(|account| (account.clone(), row(account))).collect();
            plan.members.push(MemberPlan { name: name.clone(), dead: false, fresh, rows });
        }
    }
}

impl AccountShares {
    /// Returns what is known of the state of the account for a new holder of some of its units, and
    /// forgets it.
    fn known(&mut self, (given, of): (u32, u32), account: &str, now: u64, plan: &mut SharePlan) -> KnownState {
        let latest = self.released.values().map(|(release, _)| release).max_by_key(|release| release.grant);
        // Late costs are counted from the grant on.
        let state = latest.and_then(|release| Some(AccountState { late_cost: 0, ..release.state.clone()? }));
        let known = match (latest, state) {
            // Members that have other units may have had these, too, and say nothing of what they
            // have spent when they give up a part.
            (None, _) if self.units > given => KnownState::AtLeast(None),
            (None, _) => KnownState::Unused,
            (Some(Release { until: None, .. }), Some(state)) if given == of && state.reserved.is_none() => {
                KnownState::Exactly(state)
            }
            (_, state) => KnownState::AtLeast(state),
        };
        self.released.retain(|member, (release, text)| {
            let is_held = release.held > 0 && release.until.is_none_or(|until| until > now);
            if !is_held {
                plan.forget(release_field(account, member), text.clone());
            }
            is_held
        });
        known
    }
}

/// Returns what counts as spent by a dead member of its share of an account. `reserved` is what it
/// has told of quotas, if Redis has lost nothing of it.
fn spent(row: &ShareRow, account: &str, reserved: Option<&BTreeMap<String, Reservation>>) -> Option<AccountState> {
    let at_most = |state: &AccountState, reserved| AccountState { reserved, ..state.clone() };
    let Some(reserved) = reserved else { return row.known.told().map(|state| at_most(state, None)) };
    // What it told of a share that it had before, others may have added to since.
    if let Some(told) = reserved.get(account).filter(|told| told.grant == row.grant) {
        return Some(told.state.clone());
    }
    // It has used nothing of quotas that it had told nothing of.
    match &row.known {
        KnownState::Unused => Some(AccountState::unspent(row.units)),
        KnownState::Exactly(state) => Some(at_most(state, Some(Totals::default()))),
        KnownState::AtLeast(state) => state.clone(),
    }
}

/// Returns what a member leaves of a share that it had not heard of: what was known when the share
/// was granted, if anything was.
fn unheard(row: &ShareRow, before: Option<&Release>, end: u64) -> Option<Release> {
    let until = match &row.known {
        KnownState::Unused => return None,
        KnownState::Exactly(_) => None,
        KnownState::AtLeast(_) => Some(end),
    };
    let held = before.map_or(0, |before| before.held);
    Some(Release { grant: row.grant, step: row.step, units: 0, held, until, state: row.known.told().cloned() })
}
