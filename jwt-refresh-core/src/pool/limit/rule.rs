//! Any of the limits, and its state: numbers and times that can be handed from one process to
//! another, since nothing in it refers to the pool.

use super::daily::{DailyQuota, DailyUse};
use super::gcra::Gcra;
use super::sliding_log::{SlidingLog, StrictWindow};
#[cfg(feature = "redis")]
use super::unit::Totals;
use super::unit::Unit;

/// A limit that takes longer than this to be full again, in nanoseconds, is a quota.
#[cfg(feature = "redis")]
const QUOTA_TIME: i64 = 60_000_000_000;

/// The present time: in nanoseconds since boot, and on the wall clock since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Now {
    pub(in crate::pool) boot: i64,
    pub(in crate::pool) wall: i64,
}

impl Now {
    /// Returns when the wall clock shows `wall`, in nanoseconds since boot, if it is not stepped.
    fn boot_at(self, wall: i64) -> i64 {
        self.boot.saturating_add(wall.saturating_sub(self.wall))
    }

    /// Returns what the wall clock shows at a time since boot.
    fn wall_at(self, boot: i64) -> i64 {
        self.wall.saturating_add(boot.saturating_sub(self.boot))
    }
}

/// A limit, and what it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) struct LimitRule {
    pub(in crate::pool) unit: Unit,
    pub(in crate::pool) rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Rule {
    Rate(Gcra),
    Strict(StrictWindow),
    Daily(DailyQuota),
}

/// The state of a limit. That of another kind of limit is taken for a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(in crate::pool) enum RuleState {
    /// The theoretical arrival time.
    Arrival(i64),
    Log(SlidingLog),
    Day(DailyUse),
}

/// What may have been spent since a state was told.
#[cfg(feature = "redis")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum SpentSince {
    Nothing,
    /// Of quotas at most this, and of other limits nobody knows what.
    AtMost(Totals),
    Unknown,
}

/// A call that is leased: what it costs, and when it was leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Call {
    pub(in crate::pool) cost: u64,
    /// In nanoseconds since boot.
    pub(in crate::pool) leased: i64,
}

impl LimitRule {
    /// Returns the state of the limit if nothing was spent.
    pub(in crate::pool) fn unused(&self, now: Now) -> RuleState {
        match self.rule {
            Rule::Rate(_) => RuleState::Arrival(now.boot),
            Rule::Strict(_) => RuleState::Log(SlidingLog::default()),
            Rule::Daily(_) => RuleState::Day(DailyUse::default()),
        }
    }

    /// Returns the state of this limit in place of another of the same kind, if as much was spent.
    /// `None` if that was of another kind.
    pub(in crate::pool) fn carry(&self, old: &Self, state: &RuleState, now: Now) -> Option<RuleState> {
        if self.unit != old.unit {
            return None;
        }
        match (&self.rule, &old.rule, state) {
            (Rule::Rate(rate), Rule::Rate(old), &RuleState::Arrival(arrival)) => {
                Some(RuleState::Arrival(rate.carry(*old, arrival, now.boot)))
            }
            (Rule::Strict(_), Rule::Strict(_), RuleState::Log(_))
            | (Rule::Daily(_), Rule::Daily(_), RuleState::Day(_)) => Some(state.clone()),
            _ => None,
        }
    }

    /// Returns the state of a limit that is new, with calls in flight.
    pub(in crate::pool) fn with_in_flight(&self, calls: u64, cost: u64, now: Now) -> RuleState {
        let mut state = self.unused(now);
        if let RuleState::Log(log) = &mut state {
            log.begin(if self.unit == Unit::Cost { cost } else { calls });
        }
        state
    }

    /// Returns the state of the limit if nobody knows what was spent: all that may have been.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn used_up(&self, now: Now) -> RuleState {
        match &self.rule {
            Rule::Rate(rate) => {
                let most = if self.unit == Unit::Cost { rate.most() } else { 1 };
                RuleState::Arrival(rate.all_owed(most, now.boot))
            }
            Rule::Strict(window) => RuleState::Log(window.used_up(now.boot)),
            Rule::Daily(quota) => RuleState::Day(quota.used_up(now.wall)),
        }
    }

    /// Returns how much the limit allows at once if it is a quota: one that takes long to be full
    /// again, so that it would be a loss to take it for [used up](Self::used_up) without need.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn quota(&self) -> Option<u64> {
        let (amount, time) = match &self.rule {
            Rule::Rate(rate) if self.unit == Unit::Cost => (rate.most(), rate.all_owed(rate.most(), 0)),
            Rule::Rate(rate) => (rate.most(), rate.all_owed(1, 0)),
            Rule::Strict(window) => (window.most(), window.length()),
            Rule::Daily(quota) => (quota.most(), i64::MAX),
        };
        (time > QUOTA_TIME).then_some(amount)
    }

    /// Returns the state that another process has told. Of what was spent since, the most that is
    /// possible counts.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn taken_over(&self, state: Option<&RuleState>, since: SpentSince, now: Now) -> RuleState {
        let spent = match since {
            SpentSince::Nothing => Some(0),
            SpentSince::AtMost(spent) => self.quota().map(|_| spent.of(self.unit)),
            SpentSince::Unknown => None,
        };
        let told = state.zip(spent).and_then(|(state, spent)| self.with_spent(state, spent, now));
        told.unwrap_or_else(|| self.used_up(now))
    }

    /// Returns a state after so much more was spent, by calls that have ended by now. `None` if it
    /// is that of another kind of limit.
    #[cfg(feature = "redis")]
    fn with_spent(&self, state: &RuleState, spent: u64, now: Now) -> Option<RuleState> {
        let mut state = state.clone();
        match (&self.rule, &mut state) {
            (Rule::Rate(_), RuleState::Arrival(_)) if spent == 0 => {}
            (Rule::Rate(rate), RuleState::Arrival(arrival)) => {
                let most = rate.all_owed(rate.most(), now.boot).max(*arrival);
                *arrival = rate.charge(*arrival, spent, now.boot).min(most);
            }
            (Rule::Strict(window), RuleState::Log(log)) => window.add_ended(log, spent, now.boot),
            (Rule::Daily(quota), RuleState::Day(used)) => quota.charge(used, spent, now.wall),
            _ => return None,
        }
        Some(state)
    }

    /// Counts that calls in flight elsewhere cost so much more than they were charged.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn charge_elsewhere(&self, state: &mut RuleState, cost: u64, now: Now) {
        match state {
            _ if cost == 0 || self.unit != Unit::Cost => {}
            RuleState::Log(log) => log.charge_elsewhere(cost),
            state => self.charge(state, cost, false, now),
        }
    }

    /// Counts that all calls that were in flight elsewhere have ended by now.
    #[cfg(feature = "redis")]
    pub(in crate::pool) fn end_elsewhere(&self, state: &mut RuleState, now: Now) {
        if let (Rule::Strict(window), RuleState::Log(log)) = (&self.rule, state) {
            window.end_elsewhere(log, now.boot);
        }
    }

    /// Returns the rate if this is an even rate of calls.
    pub(in crate::pool) fn as_rate_of_calls(&self) -> Option<Gcra> {
        match self.rule {
            Rule::Rate(rate) if self.unit == Unit::Requests => Some(rate),
            _ => None,
        }
    }

    /// Returns the most that a call may ever cost.
    pub(in crate::pool) fn most(&self) -> u64 {
        let most = match &self.rule {
            Rule::Rate(rate) => rate.most(),
            Rule::Strict(window) => window.most(),
            Rule::Daily(quota) => quota.most(),
        };
        if self.unit == Unit::Cost { most } else { u64::MAX }
    }

    /// Returns the most that a call may cost now; 0 if no call may be made.
    pub(in crate::pool) fn headroom(&self, state: &mut RuleState, now: Now) -> u64 {
        let left = match (&self.rule, &mut *state) {
            (Rule::Rate(rate), RuleState::Arrival(arrival)) => rate.headroom(*arrival, now.boot),
            (Rule::Strict(window), RuleState::Log(log)) => window.headroom(log, now.boot),
            (Rule::Daily(quota), RuleState::Day(used)) => quota.headroom(used, now.wall),
            _ => return self.headroom_anew(state, now),
        };
        match self.unit {
            Unit::Cost => left,
            Unit::Requests if left > 0 => u64::MAX,
            Unit::Requests => 0,
        }
    }

    fn headroom_anew(&self, state: &mut RuleState, now: Now) -> u64 {
        *state = self.unused(now);
        self.headroom(state, now)
    }

    /// Returns how much may be spent at once now, in the unit of the limit.
    pub(in crate::pool) fn left(&self, state: &mut RuleState, now: Now) -> u64 {
        match (&self.rule, state) {
            (Rule::Rate(rate), RuleState::Arrival(arrival)) => rate.left(*arrival, now.boot),
            (Rule::Strict(window), RuleState::Log(log)) => window.headroom(log, now.boot),
            (Rule::Daily(quota), RuleState::Day(used)) => quota.headroom(used, now.wall),
            (Rule::Rate(_) | Rule::Strict(_) | Rule::Daily(_), state) => {
                *state = self.unused(now);
                self.left(state, now)
            }
        }
    }

    /// Returns when a call of that cost may be made, in nanoseconds since boot, or `None` if only
    /// the end of a lease can tell, or none.
    pub(in crate::pool) fn ready_at(&self, state: &mut RuleState, cost: u64, now: Now) -> Option<i64> {
        let amount = self.unit.amount(cost);
        match (&self.rule, state) {
            (Rule::Rate(rate), RuleState::Arrival(arrival)) => {
                Some(rate.ready_at(*arrival, amount)).filter(|_| amount <= rate.most())
            }
            (Rule::Strict(window), RuleState::Log(log)) => window.ready_at(log, amount, now.boot),
            (Rule::Daily(quota), RuleState::Day(used)) => {
                quota.ready_at(used, amount, now.wall).map(|wall| now.boot_at(wall))
            }
            _ => Some(now.boot),
        }
    }

    /// Returns whether the limit gives back what was spent all at once, at a time, so that there is
    /// nothing to save up until then.
    pub(in crate::pool) fn is_reset_at_once(&self) -> bool {
        matches!(self.rule, Rule::Daily(_))
    }

    /// Charges a call. If it waited for this limit, a rate lets the next make up for the delay.
    pub(in crate::pool) fn charge(&self, state: &mut RuleState, cost: u64, waited: bool, now: Now) {
        let amount = self.unit.amount(cost);
        match (&self.rule, state) {
            (Rule::Rate(rate), RuleState::Arrival(arrival)) => {
                let from = if waited { rate.charge_from(amount, now.boot) } else { now.boot };
                *arrival = rate.charge(*arrival, amount, from);
            }
            (Rule::Strict(_), RuleState::Log(log)) => log.begin(amount),
            (Rule::Daily(quota), RuleState::Day(used)) => quota.charge(used, amount, now.wall),
            _ => {}
        }
    }

    /// Counts that a call costs `to` instead of what it was charged.
    pub(in crate::pool) fn correct(&self, state: &mut RuleState, call: Call, to: u64, now: Now) {
        let (from, to) = (self.unit.amount(call.cost), self.unit.amount(to));
        match (&self.rule, state) {
            (Rule::Rate(rate), RuleState::Arrival(arrival)) => *arrival = rate.correct(*arrival, from, to),
            (Rule::Strict(_), RuleState::Log(log)) => log.correct(from, to),
            (Rule::Daily(_), RuleState::Day(used)) => used.correct(from, to, now.wall_at(call.leased)),
            _ => {}
        }
    }

    /// Counts that the lease of a call ended.
    pub(in crate::pool) fn end(&self, state: &mut RuleState, cost: u64, now: Now) {
        if let (Rule::Strict(window), RuleState::Log(log)) = (&self.rule, state) {
            window.end(log, self.unit.amount(cost), now.boot);
        }
    }
}

#[cfg(feature = "redis")]
impl RuleState {
    /// Returns the state for another process, whose clock is ahead by so much.
    pub(in crate::pool) fn handed_over(&self, ahead: i64) -> Self {
        match self {
            Self::Arrival(arrival) => Self::Arrival(arrival.saturating_add(ahead)),
            Self::Log(log) => Self::Log(log.handed_over(ahead)),
            // It goes by the wall clock.
            Self::Day(used) => Self::Day(*used),
        }
    }

    /// Returns the state with the calls in flight of another one.
    pub(in crate::pool) fn with_in_flight_of(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Log(log), Self::Log(other)) => Self::Log(log.with_in_flight_of(other)),
            (state, _) => state,
        }
    }
}
