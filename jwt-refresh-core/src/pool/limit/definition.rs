//! A limit of an account, as its user describes it.

use std::time::Duration;

use super::daily::DailyQuota;
use super::gcra::Gcra;
use super::rule::{LimitRule, Rule};
use super::sliding_log::StrictWindow;
use super::unit::Unit;
use super::zone::Zone;
use crate::error::{Error, ErrorKind};

/// A limit of an account, for [`Account::limit`](super::super::Account::limit): how many calls may
/// be made in a time, or what they may cost.
///
/// A caller says what a call will cost by [`LeaseRequest::cost`](super::super::LeaseRequest::cost),
/// in any unit, such as tokens of a language model. A call that says nothing costs 1.
///
/// ```
/// # use std::time::Duration;
/// # use jwt_refresh::pool::{Account, Limit};
/// # use jwt_refresh::Authenticator;
/// # const MINUTE: Duration = Duration::from_secs(60);
/// # fn account(login: impl Authenticator) -> Account {
/// Account::new("ada@example.com", login)
///     .limit(Limit::requests(60, MINUTE))
///     .limit(Limit::cost(100_000, MINUTE).shared("organisation"))
///     .limit(Limit::daily(1_000_000).utc_offset(-8 * 60))
/// # }
/// ```
///
/// # How a server sees a rate
///
/// A rate is spread evenly (GCRA): after a call, the next may be made once this one is paid for. A
/// server that counts in windows may see a little more than the limit in one of them, since calls
/// that left evenly arrive unevenly, and since a window of one second holds eleven calls that are
/// 0.1 s apart if the first comes as it opens. If calls leave at the full rate, 42 to 47 of 100
/// windows hold one or two calls more than the limit. A token bucket does not mind. A server that
/// answers 429 for one call too many needs a rate that is lower by two calls, or a
/// [strict](Self::strict) limit.
///
/// # Two rates of one account
///
/// A rate without a [burst](Self::burst) remembers nothing of the time in which it was not used. So
/// of two on one account, one of calls and one of cost, a cheap call loses time of the second while
/// it waits for the first, and an expensive call the other way round. If both are about as tight,
/// about 83 % of them is used where costs range from a fifth of the mean to nearly twice the mean.
/// Give both a burst, of a fifth of what they allow in a period or so: then a cheap call leaves
/// something for the next expensive one, and 98 % and more is used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "a limit does nothing until an account is given it"]
pub struct Limit {
    unit: Unit,
    amount: u64,
    period: Period,
    burst: Option<u64>,
    shared: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
enum Period {
    Rate(Duration),
    Strict(Duration),
    Day(Zone),
}

impl Limit {
    fn new(unit: Unit, amount: u64, period: Period) -> Self {
        Self { unit, amount, period, burst: None, shared: None }
    }

    /// Returns the limit of `calls` in each period of length `per`, evenly spread.
    pub fn requests(calls: u64, per: Duration) -> Self {
        Self::new(Unit::Requests, calls, Period::Rate(per))
    }

    /// Returns the limit of what calls may cost in each period of length `per`, evenly spread:
    /// after a call of cost `c`, the next may be made after `c / cost` periods. One call may cost
    /// as much as a whole period allows, and no more.
    pub fn cost(cost: u64, per: Duration) -> Self {
        Self::new(Unit::Cost, cost, Period::Rate(per))
    }

    /// Returns the limit of `calls` on each day of the calendar, from midnight to midnight in UTC.
    ///
    /// The quota of an account that was used up before the program started is full for the pool.
    pub fn daily(calls: u64) -> Self {
        Self::new(Unit::Requests, calls, Period::Day(Zone::Offset(0)))
    }

    /// Returns the limit of what the calls of each day may cost, as [`daily`](Self::daily).
    pub fn daily_cost(cost: u64) -> Self {
        Self::new(Unit::Cost, cost, Period::Day(Zone::Offset(0)))
    }

    /// Sets how many calls may be made at once after the account was idle, or what may be spent at
    /// once; calls that cost more still go alone. Default 1. Only a rate has a burst.
    pub fn burst(mut self, amount: u64) -> Self {
        self.burst = Some(amount);
        self
    }

    /// Makes the limit hold in every window of its period's length, wherever that begins. Only a
    /// rate can be strict.
    ///
    /// A call counts from when it is leased until its lease ends, and then for a period. So calls
    /// may be made all at once, and then none for a period; and the limit is used as far as calls
    /// are short beside the period: 99 % if they take a hundredth of it. Hold a lease until the
    /// call is answered: a call that is still on its way when its lease is dropped may reach the
    /// server later than it counts for.
    pub fn strict(mut self) -> Self {
        if let Period::Rate(per) = self.period {
            self.period = Period::Strict(per);
        }
        self
    }

    #[cfg(feature = "redis")]
    pub(in crate::pool) fn is_strict(&self) -> bool {
        matches!(self.period, Period::Strict(_))
    }

    /// Sets where the day of a [daily](Self::daily) limit begins: so many minutes east of UTC.
    /// `-8 * 60` is Pacific Standard Time. Other limits have no days.
    pub fn utc_offset(mut self, minutes: i32) -> Self {
        if let Period::Day(zone) = &mut self.period {
            *zone = Zone::Offset(minutes);
        }
        self
    }

    /// Sets the time zone in which the day of a [daily](Self::daily) limit begins, by its name in
    /// the IANA time zone database: `America/Los_Angeles`. A pool refuses an account with an
    /// unknown name. The database is the system's, on Windows one that is built in.
    #[cfg(feature = "time-zones")]
    pub fn time_zone(mut self, name: &str) -> Self {
        if let Period::Day(zone) = &mut self.period {
            *zone = Zone::named(name);
        }
        self
    }

    /// Makes the limit one that all accounts of the pool with a limit of this name have together,
    /// such as the keys of one organisation. It must be the same limit for each of them.
    ///
    /// Callers are served in the order in which they come. So an account that a server counts in
    /// windows may use its own up early, and if the shared limit is as tight as those of its
    /// accounts together, up to a tenth of it is left over.
    pub fn shared(mut self, name: impl Into<String>) -> Self {
        self.shared = Some(name.into().into());
        self
    }

    /// Returns the name under which the limit is shared.
    pub(in crate::pool) fn shared_name(&self) -> Option<&str> {
        self.shared.as_deref()
    }

    /// Returns the limit as a pool goes by it.
    ///
    /// # Errors
    ///
    /// [`Configuration`](ErrorKind::Configuration) if the limit lets nothing through, or has a
    /// burst, an offset or a time zone that it cannot have.
    pub(in crate::pool) fn rule(&self) -> Result<LimitRule, Error> {
        let Self { unit, amount, burst, .. } = *self;
        let is_nothing = match &self.period {
            Period::Rate(per) | Period::Strict(per) => per.is_zero(),
            Period::Day(_) => false,
        };
        if amount == 0 || is_nothing || burst == Some(0) {
            return Err(configuration(format!(
                "the limit of {self} lets nothing through (give each number at least 1, or leave the limit out)"
            )));
        }
        let rule = match &self.period {
            Period::Rate(per) => Rule::Rate(Gcra::new(amount, *per, burst.unwrap_or(1))),
            _ if burst.is_some() => {
                return Err(configuration(format!(
                    "the limit of {self} has a burst, which only an even rate can have"
                )));
            }
            Period::Strict(length) => Rule::Strict(StrictWindow::new(amount, *length)),
            Period::Day(zone) => Rule::Daily(DailyQuota::new(amount, known(zone)?)),
        };
        Ok(LimitRule { unit, rule })
    }
}

/// Returns the limits of one account as a pool goes by them, and the even rate of calls among them,
/// which takes no room beside the account. Shared limits are left out.
///
/// # Errors
///
/// [`Configuration`](ErrorKind::Configuration) if one lets nothing through.
pub(in crate::pool) fn own_rules<'a>(
    limits: impl Iterator<Item = &'a Limit>,
) -> Result<(Gcra, Box<[LimitRule]>), Error> {
    let own = limits.filter(|limit| limit.shared_name().is_none());
    let mut rules = own.map(Limit::rule).collect::<Result<Vec<_>, _>>()?;
    let rate = rules.iter().position(|rule| rule.as_rate_of_calls().is_some()).map(|at| rules.remove(at));
    Ok((rate.and_then(|rule| rule.as_rate_of_calls()).unwrap_or_default(), rules.into()))
}

/// Returns the limits that an account shares with others, with their names.
pub(in crate::pool) fn shared_limits(limits: &[Limit]) -> impl Iterator<Item = (&str, &Limit)> {
    limits.iter().filter_map(|limit| Some((limit.shared_name()?, limit)))
}

fn configuration(what: String) -> Error {
    Error::new(ErrorKind::Configuration, what)
}

fn known(zone: &Zone) -> Result<Zone, Error> {
    match zone {
        Zone::Offset(minutes) if minutes.unsigned_abs() > 24 * 60 => Err(configuration(format!(
            "a day cannot begin {minutes} minutes east of UTC (at most 1440, which is a day)"
        ))),
        #[cfg(feature = "time-zones")]
        Zone::Unknown(name) => Err(configuration(format!(
            "the time zone {name:?} is not in the IANA database (see `Limit::time_zone`; is the system's database installed?)"
        ))),
        zone => Ok(zone.clone()),
    }
}

impl std::fmt::Display for Limit {
    /// Writes `100 requests in 60s`, as errors say it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            Unit::Requests => write!(f, "{} requests", self.amount)?,
            Unit::Cost => write!(f, "a cost of {}", self.amount)?,
        }
        match &self.period {
            Period::Rate(per) => write!(f, " in {per:?}")?,
            Period::Strict(length) => write!(f, " in any {length:?}")?,
            Period::Day(zone) => write!(f, " a day ({zone:?})")?,
        }
        match self.burst {
            Some(burst) => write!(f, " with a burst of {burst}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_limit_that_lets_nothing_through_is_refused_in_its_own_words() {
        for (limit, words) in [
            (Limit::requests(0, SECOND), "0 requests in 1s lets nothing"),
            (Limit::requests(1, Duration::ZERO), "1 requests in 0ns lets nothing"),
            (Limit::cost(1, SECOND).burst(0), "with a burst of 0 lets nothing"),
            (Limit::cost(0, SECOND).strict(), "a cost of 0 in any 1s lets nothing"),
            (Limit::daily(0), "0 requests a day (UTC+0 min) lets nothing"),
            (Limit::requests(5, SECOND).burst(2).strict(), "has a burst"),
            (Limit::daily(5).burst(2), "has a burst"),
            (Limit::daily(5).utc_offset(1441), "1441 minutes east"),
        ] {
            let error = limit.rule().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn an_unknown_time_zone_is_refused_by_name() {
        let error = Limit::daily(5).time_zone("Mars/Olympus_Mons").rule().unwrap_err();
        assert!(error.to_string().contains("\"Mars/Olympus_Mons\""), "{error}");
        Limit::daily(5).time_zone("Europe/Rome").rule().unwrap();
    }
}
