//! What is said of an account apart from its credentials, as it goes from the process that was
//! given the account to those that use it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::failure;
use super::limit::Limit;
use super::limits::Tier;
use crate::authenticator::Authenticator;
use crate::error::Error;

/// Into how many units an account is divided that has neither a rate nor a concurrency.
const UNLIMITED_UNITS: u32 = 1000;

/// An account's limits, tags and standing. A number that is missing is a limit that it does not
/// have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Definition {
    /// The account's even rate of calls, and its burst.
    rate: Option<(u32, Duration, u32)>,
    concurrency: Option<u32>,
    usage_cap: Option<u32>,
    weight: u32,
    tier: Tier,
    /// Sorted, and each once.
    tags: Vec<String>,
    /// Further limits.
    limits: Vec<Limit>,
}

impl Definition {
    /// Returns what is said of an account.
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if a limit lets nothing through, or is
    /// shared with other accounts.
    pub(super) fn of(account: &Account) -> Result<Self, Error> {
        account.limits(Box::default(), None, 0)?;
        if account.shared_limits().next().is_some() {
            let who = format!("the account {:?}", account.identity.name());
            return Err(failure::not_in_redis(&who, "a limit that it shares with other accounts"));
        }
        let limited = |number: u32| (number < u32::MAX).then_some(number);
        let mut tags = account.tags.clone();
        tags.sort_unstable();
        tags.dedup();
        Ok(Self {
            rate: account.rate.map(|(requests, per)| (requests, per, account.burst)),
            concurrency: limited(account.concurrency),
            usage_cap: limited(account.usage_cap),
            weight: account.weight,
            tier: account.tier,
            tags,
            limits: account.further.clone(),
        })
    }

    /// Returns an account of which this is said.
    pub(super) fn account(&self, name: &str, authenticator: impl Authenticator) -> Account {
        let mut account = Account::new(name, authenticator).weight(self.weight).tier(self.tier);
        if let Some((requests, per, burst)) = self.rate {
            account = account.rate(requests, per).burst(burst);
        }
        if let Some(leases) = self.concurrency {
            account = account.concurrency(leases);
        }
        if let Some(leases) = self.usage_cap {
            account = account.usage_cap(leases);
        }
        let account = self.tags.iter().fold(account, Account::tag);
        self.limits.iter().fold(account, |account, limit| account.limit(limit.clone()))
    }

    pub(super) fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Returns how many leases `units` of `of` units may hold at once; 0 if that is not limited.
    pub(super) fn leases_of(&self, units: u32, of: u32) -> u32 {
        self.concurrency.map_or(0, |leases| {
            let part = u64::from(leases) * u64::from(units) / u64::from(of.max(1));
            u32::try_from(part).unwrap_or(u32::MAX).max(1)
        })
    }

    /// Returns whether a limit depends on when leases end.
    pub(super) fn counts_leases(&self) -> bool {
        self.concurrency.is_some() || self.limits.iter().any(Limit::is_strict)
    }

    /// Returns into how many equal parts the limits can be divided, so that each part lets calls
    /// through.
    pub(super) fn units(&self) -> u32 {
        if !self.limits.is_empty() || self.usage_cap.is_some() {
            return 1;
        }
        let burst = self.rate.map(|(_, _, burst)| burst);
        [burst, self.concurrency].into_iter().flatten().min().unwrap_or(UNLIMITED_UNITS).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::pool::start::NoLogin;

    const SECOND: Duration = Duration::from_secs(1);

    fn account() -> Account {
        Account::new("ada", NoLogin)
    }

    fn limit() -> impl Strategy<Value = Limit> {
        let per = (1..100_u64).prop_map(Duration::from_millis);
        let rate = (1..1000_u64, per, 1..50_u64, any::<bool>());
        let day = (1..1000_u64, -1440..=1440_i32, any::<bool>());
        prop_oneof![
            rate.clone().prop_map(|(amount, per, burst, is_cost)| {
                if is_cost { Limit::cost(amount, per) } else { Limit::requests(amount, per) }.burst(burst)
            }),
            rate.prop_map(|(amount, per, _, _)| Limit::cost(amount, per).strict()),
            day.prop_map(|(amount, offset, is_cost)| {
                if is_cost { Limit::daily_cost(amount) } else { Limit::daily(amount) }.utc_offset(offset)
            }),
            Just(zoned()),
        ]
    }

    #[cfg(feature = "time-zones")]
    fn zoned() -> Limit {
        Limit::daily(7).time_zone("America/Los_Angeles")
    }

    #[cfg(not(feature = "time-zones"))]
    fn zoned() -> Limit {
        Limit::daily(7)
    }

    proptest! {
        #[test]
        fn a_definition_says_in_another_process_what_the_account_says_in_this(
            rate in prop::option::of((1..1000_u32, 1..5000_u64, 1..20_u32)),
            (concurrency, usage_cap) in (prop::option::of(1..100_u32), prop::option::of(1..100_u32)),
            (weight, tier) in (1..100_u32, 0..4_u8),
            tags in prop::collection::vec("[a-c]{1,2}", 0..4),
            limits in prop::collection::vec(limit(), 0..4),
        ) {
            let mut given = account().weight(weight).tier(tier);
            if let Some((requests, per, burst)) = rate {
                given = given.rate(requests, Duration::from_millis(per)).burst(burst);
            }
            given = concurrency.into_iter().fold(given, Account::concurrency);
            given = usage_cap.into_iter().fold(given, Account::usage_cap);
            given = tags.iter().fold(given, Account::tag);
            given = limits.into_iter().fold(given, Account::limit);
            let definition = Definition::of(&given).unwrap();
            let text = serde_json::to_string(&definition).unwrap();
            let read: Definition = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &definition, "{}", text);
            let same = read.account("ada", NoLogin);
            let [own, others] = [&given, &same].map(|account| account.limits(Box::default(), None, 0).unwrap());
            prop_assert!(own == others, "{}", text);
            prop_assert_eq!(Definition::of(&same).unwrap(), definition);
        }
    }

    #[test]
    fn a_definition_has_each_tag_once_in_order() {
        let definition = Definition::of(&account().tag("eu").tag("a").tag("eu")).unwrap();
        assert_eq!(definition.tags, ["a", "eu"]);
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let definition = Definition::of(&account().rate(10, SECOND)).unwrap();
        let mut json = serde_json::to_value(&definition).unwrap();
        json["colour"] = "blue".into();
        assert_eq!(serde_json::from_value::<Definition>(json).unwrap(), definition);
    }

    #[test]
    fn limits_that_let_nothing_through_or_are_shared_are_refused() {
        for bad in [account().rate(0, SECOND), account().limit(Limit::daily(5).shared("organisation"))] {
            assert_eq!(Definition::of(&bad).unwrap_err().kind(), ErrorKind::Configuration);
        }
        let error = Definition::of(&account().limit(Limit::daily(5).shared("organisation"))).unwrap_err();
        assert!(error.what().contains("\"ada\" has a limit that it shares"), "{}", error.what());
    }

    #[test]
    fn limits_are_divided_as_far_as_each_part_lets_calls_through() {
        let units = |account: Account| Definition::of(&account).unwrap().units();
        assert_eq!(units(account()), 1000);
        assert_eq!(units(account().rate(10, SECOND)), 1);
        assert_eq!(units(account().burst(7)), 1000, "without a rate, a burst says nothing");
        assert_eq!(units(account().rate(10, SECOND).burst(7)), 7);
        assert_eq!(units(account().rate(10, SECOND).burst(7).concurrency(4)), 4);
        assert_eq!(units(account().concurrency(4)), 4);
        assert_eq!(units(account().concurrency(4).usage_cap(100)), 1);
        assert_eq!(units(account().concurrency(4).limit(Limit::daily(100))), 1);
    }
}
