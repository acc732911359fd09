//! What the servers of a walk count, each with limits of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;

use super::SECOND;
use crate::clock::Timestamp;
use crate::pool::account::Account;
use crate::pool::limit::{Limit, Unit};

/// The period of all limits.
pub(super) const PERIOD: i64 = 10 * SECOND;
const WINDOW: Duration = Duration::from_secs(10);

/// The limits of an account.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Rate {
        amount: u64,
        burst: u64,
    },
    CostRate {
        amount: u64,
        burst: u64,
    },
    Both {
        calls: u64,
        cost: u64,
    },
    Strict {
        amount: u64,
    },
    StrictCost {
        amount: u64,
    },
    /// Only the server knows of it, and tells in one of four dialects.
    Learnt {
        amount: u64,
        dialect: u8,
    },
    LearntCost {
        amount: u64,
    },
}

/// A limit that a server counts by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) unit: Unit,
    pub(super) amount: u64,
    pub(super) rule: CountedRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedRule {
    /// A token bucket that holds a period's amount and this much more.
    Bucket(u64),
    /// Any window of a period.
    Window,
    /// Windows that follow one another. A call too many is refused.
    Fixed,
}

impl Kind {
    /// Returns these limits as an account has them that shares another one, with the burst that
    /// `Limit` advises. With a smaller one, two limits that are about as tight do not both fill.
    pub(super) fn beside_another(self) -> Self {
        match self {
            Self::Rate { amount, .. } => Self::Rate { amount, burst: amount / 5 },
            Self::CostRate { amount, .. } => Self::CostRate { amount, burst: amount / 5 },
            other => other,
        }
    }

    /// Gives an account the limits that are declared.
    pub(super) fn declare(self, account: Account) -> Account {
        match self {
            Self::Rate { amount, burst } => account.limit(Limit::requests(amount, WINDOW).burst(burst)),
            Self::CostRate { amount, burst } => account.limit(Limit::cost(amount, WINDOW).burst(burst)),
            Self::Both { calls, cost } => {
                let (calls, cost) =
                    (Limit::requests(calls, WINDOW).burst(calls / 5), Limit::cost(cost, WINDOW).burst(cost / 5));
                account.limit(calls).limit(cost)
            }
            Self::Strict { amount } => account.limit(Limit::requests(amount, WINDOW).strict()),
            Self::StrictCost { amount } => account.limit(Limit::cost(amount, WINDOW).strict()),
            Self::Learnt { .. } | Self::LearntCost { .. } => account,
        }
    }

    pub(super) fn counted(self) -> Vec<Counted> {
        let (calls, cost) = (Unit::Requests, Unit::Cost);
        match self {
            Self::Rate { amount, burst } => vec![Counted { unit: calls, amount, rule: CountedRule::Bucket(burst) }],
            Self::CostRate { amount, burst } => vec![Counted { unit: cost, amount, rule: CountedRule::Bucket(burst) }],
            Self::Both { calls: amount, cost: total } => vec![
                Counted { unit: calls, amount, rule: CountedRule::Bucket(amount / 5) },
                Counted { unit: cost, amount: total, rule: CountedRule::Bucket(total / 5) },
            ],
            Self::Strict { amount } => vec![Counted { unit: calls, amount, rule: CountedRule::Window }],
            Self::StrictCost { amount } => vec![Counted { unit: cost, amount, rule: CountedRule::Window }],
            Self::Learnt { amount, .. } => vec![Counted { unit: calls, amount, rule: CountedRule::Fixed }],
            Self::LearntCost { amount } => vec![Counted { unit: cost, amount, rule: CountedRule::Fixed }],
        }
    }

    pub(super) fn dialect(self) -> u8 {
        if let Self::Learnt { dialect, .. } = self { dialect } else { 4 }
    }
}

/// What a server counts of one limit.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) limit: Counted,
    /// What arrived when.
    arrived: BTreeMap<(i64, u64), u64>,
    calls: u64,
    /// From when on utilisation counts.
    counted_from: i64,
    spent: u64,
    refused: u64,
}

impl Ledger {
    pub(super) fn new(limit: Counted) -> Self {
        Self { limit, arrived: BTreeMap::new(), calls: 0, counted_from: 0, spent: 0, refused: 0 }
    }

    pub(super) fn begin_to_count(&mut self, now: i64) {
        (self.counted_from, self.spent, self.refused, self.calls) = (now, 0, 0, 0);
    }

    fn in_window_of(&self, time: i64) -> u64 {
        let window = time.div_euclid(PERIOD) * PERIOD;
        self.arrived.range((window, 0)..(window + PERIOD, 0)).map(|(_, amount)| amount).sum()
    }

    /// Takes a call that arrives. Returns whether it is served.
    pub(super) fn arrive(&mut self, time: i64, cost: u64) -> bool {
        let amount = self.limit.unit.amount(cost);
        self.calls += 1;
        if self.limit.rule == CountedRule::Fixed && self.in_window_of(time) + amount > self.limit.amount {
            self.refused += 1;
            return false;
        }
        let number = self.arrived.len() as u64;
        self.arrived.insert((time, number), amount);
        if time >= self.counted_from {
            self.spent += amount;
        }
        true
    }

    /// Returns what the server says in an answer that it sends at a time.
    pub(super) fn headers(&self, time: i64, wall: i64, dialect: u8) -> HeaderMap {
        let quota = self.limit.amount;
        let remaining = quota.saturating_sub(self.in_window_of(time)).to_string();
        let left = PERIOD - time.rem_euclid(PERIOD);
        let milliseconds = left.div_euclid(1_000_000) + 1;
        let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        let lines = match dialect {
            0 => vec![
                ("ratelimit", format!("\"default\";r={remaining};t={seconds}")),
                ("ratelimit-policy", format!("\"default\";q={quota};w=10")),
            ],
            1 => vec![
                ("date", httpdate::fmt_http_date(Timestamp::from_nanos(wall).into())),
                ("x-ratelimit-limit", quota.to_string()),
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", (wall + left).div_euclid(1_000_000).saturating_add(1).to_string()),
            ],
            2 => vec![
                ("x-ratelimit-limit-requests", quota.to_string()),
                ("x-ratelimit-remaining-requests", remaining),
                ("x-ratelimit-reset-requests", format!("{}s{}ms", milliseconds / 1000, milliseconds % 1000)),
            ],
            3 => vec![
                ("ratelimit-limit", format!("{quota}, {quota};w=10")),
                ("ratelimit-remaining", remaining),
                ("ratelimit-reset", seconds),
            ],
            _ => vec![
                ("anthropic-ratelimit-tokens-limit", quota.to_string()),
                ("anthropic-ratelimit-tokens-remaining", remaining),
                ("anthropic-ratelimit-tokens-reset", seconds),
            ],
        };
        lines.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    /// Returns what is wrong with what arrived, if anything is.
    pub(super) fn excess(&self) -> Option<String> {
        let arrived: Vec<_> = self.arrived.iter().map(|(&(time, _), &amount)| (time, amount)).collect();
        match self.limit.rule {
            CountedRule::Bucket(burst) => self.bucket_excess(&arrived, burst),
            CountedRule::Window => self.window_excess(&arrived),
            CountedRule::Fixed if self.refused * 1000 > self.calls + 1000 => {
                Some(format!("{} of {} calls were refused", self.refused, self.calls))
            }
            CountedRule::Fixed => None,
        }
    }

    fn window_excess(&self, arrived: &[(i64, u64)]) -> Option<String> {
        let (mut first, mut sum) = (0, 0);
        for &(time, amount) in arrived {
            sum += amount;
            while time - arrived[first].0 >= PERIOD {
                sum -= arrived[first].1;
                first += 1;
            }
            if sum > self.limit.amount {
                return Some(format!("{sum} of {} within a window that ends at {time}", self.limit.amount));
            }
        }
        None
    }

    /// Calls arrive up to their latency later than they were leased, so the bucket holds what that
    /// makes of the rate beside a period's amount.
    fn bucket_excess(&self, arrived: &[(i64, u64)], burst: u64) -> Option<String> {
        let rate = i128::from(self.limit.amount);
        let capacity = (rate + i128::from(burst)) * i128::from(PERIOD) + rate * i128::from(SECOND);
        let (mut level, mut last) = (capacity, 0);
        for &(time, amount) in arrived {
            level = (level + rate * i128::from(time - last)).min(capacity) - i128::from(amount) * i128::from(PERIOD);
            last = time;
            if level < 0 {
                return Some(format!("a bucket of {} is empty at {time}", self.limit.amount));
            }
        }
        None
    }

    /// Returns how much of what the limit allows was used, in thousandths.
    pub(super) fn utilisation(&self, now: i64) -> u64 {
        let periods = u64::try_from((now - self.counted_from) / SECOND).unwrap();
        self.spent * 1000 * 10 / (self.limit.amount * periods)
    }
}
