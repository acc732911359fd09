use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::authenticator::Authenticator;
use crate::clock::{ManualClock, Moment};
use crate::error::{Error, ErrorKind};
use crate::pool::account::Account;
use crate::pool::lease::Lease;
use crate::pool::limit::Limit;
use crate::pool::local::Pool;
use crate::pool::local::state::PoolState;
use crate::pool::policy::PoolPolicy;
use crate::pool::quarantine::QuarantineCause;
use crate::pool::request::{LeaseRequest, LeaseSource};
use crate::pool::share::{AccountState, KnownState, Share, SuppliedToken, TagUse};
use crate::pool::start::NoLogin;
use crate::provider::Renewal;
use crate::store::MemoryStore;
use crate::token::{AccessToken, Tokens};

const SECOND: Duration = Duration::from_secs(1);
const WHOLE: Share = Share { units: 1, of: 1, held_elsewhere: 0, late_cost: 0 };

/// One process of a fleet. The reference clock is that of a process that was just started.
struct Process {
    pool: Pool,
    clock: ManualClock,
    offset: i64,
}

impl Process {
    /// Returns a process of a machine that was booted `up` ago.
    fn up_for(up: Duration) -> Self {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400));
        clock.advance(up);
        clock.step_to(SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400));
        let policy = PoolPolicy::default().max_inline_wait(5 * SECOND);
        let pool = Pool::builder().clock(&clock).policy(policy).build().unwrap();
        pool.watch();
        Self { pool, clock, offset: -i64::try_from(up.as_nanos()).unwrap() }
    }

    fn new() -> Self {
        Self::up_for(Duration::ZERO)
    }

    fn with(account: Account) -> Self {
        Self::new().and(account)
    }

    fn and(self, account: Account) -> Self {
        self.pool.add_elsewhere(account).unwrap();
        self
    }

    fn grant(&self, name: &str, share: Share, before: &KnownState) {
        assert!(self.pool.grant_share(name, share, before, self.offset));
    }

    fn supply(&self, name: &str, sequence: u64) {
        self.supply_for(name, sequence, 3600 * SECOND);
    }

    fn supply_for(&self, name: &str, sequence: u64, life: Duration) {
        let token = AccessToken::new(&format!("{name}-{sequence}")).unwrap();
        self.pool.supply(name, SuppliedToken { token, sequence, expires: self.moment() + life });
    }

    /// Gives the process an account with a token.
    fn serve(&self, name: &str, share: Share, before: &KnownState) {
        self.grant(name, share, before);
        self.supply(name, 1);
        self.reserve(name);
    }

    /// Tells the fleet what may be spent of an account's quotas. Returns what counts if nothing
    /// more is heard.
    fn reserve(&self, name: &str) -> Option<AccountState> {
        let told = self.pool.reserve(name, SECOND, self.offset);
        self.pool.confirm_reserve(name);
        told
    }

    fn release(&self, name: &str) -> AccountState {
        self.pool.release_share(name, self.offset).unwrap()
    }

    fn moment(&self) -> Moment {
        self.pool.0.clock.moment()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.pool.0.change(|_, _| ());
    }

    /// Returns a lease of any account if one serves at once.
    fn lease(&self) -> Option<Lease> {
        self.pool.0.try_lease().or_else(|| {
            self.reserve("ada");
            self.pool.0.try_lease()
        })
    }

    /// Returns how many calls may be made at once.
    fn calls(&self) -> usize {
        std::iter::from_fn(|| self.lease()).take(1000).count()
    }

    /// Returns what cause keeps an account from serving.
    fn cause(&self, name: &str) -> Option<QuarantineCause> {
        self.pool.0.change(|state, _| state.account(name).unwrap().1.rare.get().cause())
    }

    /// Takes what calls of an account have cost since others have it.
    fn late_cost(&self, name: &str) -> u64 {
        let changed = self.pool.take_changed(usize::MAX).into_iter().filter(|change| change.name == name);
        changed.map(|change| change.late_cost).sum()
    }

    /// Takes the changes of an account: what it wants, and how many leases are held.
    fn told(&self, name: &str) -> Option<(Option<(u64, QuarantineCause)>, u32)> {
        let changed = self.pool.take_changed(usize::MAX).into_iter().filter(|change| change.name == name);
        changed.last().map(|change| (change.wants, change.held))
    }
}

/// Begins to wait for a lease, which must not come at once.
async fn waiting(request: LeaseRequest) -> Renewal<Lease> {
    let mut waiting = request.into_future();
    assert!(is_pending(&mut waiting).await);
    waiting
}

fn just_before(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_nanos(1))
}

async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}

fn account() -> Account {
    Account::new("ada", NoLogin)
}

#[tokio::test]
async fn an_account_elsewhere_is_waited_for_and_serves_once_it_has_a_share_and_a_token() {
    let here = Process::with(account());
    assert!(here.lease().is_none());
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Elsewhere));
    assert_eq!((here.pool.status().active, here.pool.status().quarantined.len()), (0, 0));
    assert_eq!(here.pool.status().quarantined_for(QuarantineCause::Elsewhere), 1);
    let caller = waiting(here.pool.lease()).await;
    here.grant("ada", WHOLE, &KnownState::Unused);
    assert!(here.lease().is_none(), "it has no token");
    here.supply("ada", 7);
    let lease = caller.await.unwrap();
    assert_eq!((lease.token().expose(), lease.token().generation()), ("ada-7", 7));
    assert_eq!(here.pool.status().active, 1);
}

#[tokio::test]
async fn a_supplied_account_never_runs_an_exchange() {
    let here = Process::with(account());
    here.serve("ada", WHOLE, &KnownState::Unused);
    here.lease().unwrap().rejected();
    here.supply_for("ada", 2, 10 * SECOND);
    here.pass(3600 * SECOND);
    here.pass(SECOND);
    assert!(here.pool.0.change(PoolState::begin).is_none());
    assert!(here.pool.status().refresh_success.is_none());
    assert!(here.pool.remove("ada"));
}

#[tokio::test]
async fn what_cannot_have_a_share_is_refused_one() {
    let here = Process::with(account());
    assert!(!here.pool.grant_share("bob", WHOLE, &KnownState::Unused, 0));
    here.pool.add(Account::api_key("key", "secret-key")).unwrap();
    assert!(!here.pool.grant_share("key", WHOLE, &KnownState::Unused, 0));
    assert!(here.pool.release_share("ada", 0).is_none() && here.pool.state_of("ada", 0).is_none());
    here.supply("ada", 1);
    here.grant("ada", WHOLE, &KnownState::Unused);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Elsewhere), "a token for an account elsewhere is not kept");
}

#[tokio::test]
async fn the_rate_goes_on_exactly_where_the_account_goes() {
    let (one, other) = (Process::with(account().rate(10, SECOND).burst(3)), Process::up_for(1000 * SECOND));
    let other = other.and(account().rate(10, SECOND).burst(3));
    one.serve("ada", WHOLE, &KnownState::Unused);
    assert_eq!(one.calls(), 3);
    let pass = |time| {
        one.pass(time);
        other.pass(time);
    };
    pass(SECOND / 20);
    let state = one.release("ada");
    assert!(one.lease().is_none());
    let state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    other.serve("ada", WHOLE, &KnownState::Exactly(state));
    pass(just_before(SECOND / 20));
    assert_eq!(other.calls(), 0, "the call of 100 ms comes after 100 ms");
    pass(Duration::from_nanos(1));
    assert_eq!(other.calls(), 1);
    pass(SECOND);
    assert_eq!(other.calls(), 3);
}

#[tokio::test]
async fn strict_limits_daily_quotas_and_costs_go_along() {
    let limited = || {
        account().limit(Limit::requests(4, 10 * SECOND).strict()).limit(Limit::daily(7)).limit(Limit::cost(10, SECOND))
    };
    let (one, other) = (Process::with(limited()), Process::up_for(1000 * SECOND).and(limited()));
    one.serve("ada", WHOLE, &KnownState::Unused);
    let held = one.pool.lease().cost(5).await.unwrap();
    one.pass(SECOND);
    other.pass(SECOND);
    drop(one.lease().unwrap());
    one.pass(SECOND);
    other.pass(SECOND);
    let state = one.release("ada");
    assert_eq!(state.held, 1);
    other.serve("ada", Share { held_elsewhere: 1, ..WHOLE }, &KnownState::Exactly(state));
    for left in [1, 0] {
        assert!(other.lease().is_some(), "{left} left");
        other.pass(SECOND);
    }
    assert!(other.lease().is_none(), "the window is full");
    other.pass(20 * SECOND);
    assert_eq!(other.pool.account("ada").unwrap().stats().unwrap().remaining_calls, Some(3), "of both limits");
    drop(held);
    assert_eq!(one.told("ada"), Some((None, 0)));
    other.pool.change_share("ada", WHOLE);
    other.pass(just_before(10 * SECOND));
    let remaining = || other.pool.account("ada").unwrap().stats().unwrap().remaining_calls;
    assert_eq!(remaining(), Some(3), "the call counts for a window after its end was told");
    let spread = |calls: usize| {
        for _ in 0..calls {
            assert!(other.lease().is_some());
            other.pass(SECOND / 2);
        }
    };
    spread(3);
    other.pass(20 * SECOND);
    assert!(other.lease().is_none(), "the quota of the day is used up: 2 + 2 + 3");
    assert_eq!(other.cause("ada"), Some(QuarantineCause::QuotaUsedUp));
}

#[tokio::test]
async fn what_a_call_has_cost_after_its_account_went_elsewhere_is_charged_there_as_it_would_be_here() {
    let (day, hour) = (Limit::daily_cost(100), Limit::cost(100, 3600 * SECOND));
    let strict = hour.clone().strict();
    // A strict limit counts a call twice that is still in flight when its account comes back.
    for (limit, twice) in [(day, 0), (Limit::cost(100, SECOND).burst(100), 0), (strict, 37), (hour.burst(100), 0)] {
        let limited = || Process::with(account().limit(limit.clone()));
        let [one, other, third, witness] = [(); 4].map(|()| limited());
        one.serve("ada", WHOLE, &KnownState::Unused);
        witness.serve("ada", WHOLE, &KnownState::Unused);
        let left = |process: &Process| process.pool.account("ada").unwrap().stats().unwrap().remaining_cost;
        // The fleet is told of what a caller waits for.
        let lease = async |process: &Process| {
            let (lease, _) = tokio::join!(process.pool.lease().cost(5), async { process.reserve("ada") });
            lease.unwrap()
        };
        let (call, same) = (lease(&one).await, lease(&witness).await);
        let spent = |cost| {
            call.spent(cost);
            same.spent(cost);
            one.late_cost("ada")
        };
        assert_eq!(spent(6), 0, "its state has it, {limit}");
        other.serve("ada", WHOLE, &KnownState::Exactly(one.release("ada")));
        assert_eq!((spent(26), spent(26)), (20, 0), "each is told once, {limit}");
        let share = |late_cost| Share { late_cost, ..WHOLE };
        other.pool.change_share("ada", share(20));
        assert_eq!(left(&other), left(&witness), "{limit}");
        // The next has heard of more when it is given the account.
        assert_eq!(spent(30), 4);
        third.serve("ada", share(24), &KnownState::Exactly(other.release("ada")));
        assert_eq!((left(&third), left(&witness)), (Some(70), Some(70)), "{limit}");
        // It comes back before the fleet was told of all.
        let state = third.release("ada");
        call.spent(37);
        same.spent(37);
        one.serve("ada", share(24), &KnownState::Exactly(state));
        assert_eq!((one.late_cost("ada"), left(&one), left(&witness)), (0, Some(63 - twice), Some(63)), "{limit}");
        drop(call);
        assert_eq!(left(&one), Some(63 - twice), "{limit}");
    }
}

#[tokio::test]
async fn what_a_call_costs_when_the_shares_have_ended_is_told_since_others_may_have_its_account() {
    let here = Process::with(account().limit(Limit::cost(100, SECOND)));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let call = here.lease().unwrap();
    here.pool.shares_end_at((here.moment() + SECOND).boot.as_nanos());
    here.pass(just_before(SECOND));
    call.spent(2);
    assert_eq!(here.late_cost("ada"), 0);
    here.pass(SECOND);
    call.spent(5);
    assert_eq!(here.late_cost("ada"), 3);
}

#[tokio::test]
async fn what_a_call_costs_is_told_of_no_account_that_has_no_limit_of_cost() {
    let one = Process::with(account().limit(Limit::daily(100)));
    one.serve("ada", WHOLE, &KnownState::Unused);
    let call = one.lease().unwrap();
    one.release("ada");
    one.late_cost("ada");
    call.spent(50);
    assert!(one.told("ada").is_none());
}

#[tokio::test]
async fn a_rest_goes_along_and_so_do_strikes() {
    let (one, other) = (Process::with(account()), Process::up_for(1000 * SECOND).and(account()));
    one.serve("ada", WHOLE, &KnownState::Unused);
    one.lease().unwrap().rate_limited(None);
    let before = one.pool.account("ada").unwrap().stats().unwrap();
    other.serve("ada", WHOLE, &KnownState::Exactly(one.release("ada")));
    assert!(other.lease().is_none(), "it rests for a second");
    other.pass(SECOND);
    other.lease().unwrap().quota_used_up(Some(100 * SECOND));
    assert_eq!((before.strikes, other.pool.account("ada").unwrap().stats().unwrap().strikes), (1, 1));
    let state = other.release("ada");
    assert_eq!(other.cause("ada"), Some(QuarantineCause::Elsewhere), "others may wait for it again");
    let third = Process::up_for(7 * SECOND).and(account());
    third.pass(SECOND);
    third.serve("ada", WHOLE, &KnownState::Exactly(state));
    assert_eq!(third.cause("ada"), Some(QuarantineCause::QuotaUsedUp));
    third.pass(100 * SECOND);
    assert!(third.lease().is_some());
}

#[tokio::test]
async fn of_a_holder_that_died_the_worst_is_assumed() {
    let here = Process::with(account().rate(10, SECOND).burst(5));
    here.serve("ada", WHOLE, &KnownState::AtLeast(None));
    here.pass(just_before(SECOND / 10));
    assert_eq!(here.calls(), 0);
    here.pass(Duration::from_nanos(1));
    assert_eq!(here.calls(), 1, "one interval from the grant on");

    let here = Process::with(account().limit(Limit::requests(4, 10 * SECOND).strict()));
    here.serve("ada", WHOLE, &KnownState::AtLeast(None));
    here.pass(just_before(10 * SECOND));
    assert_eq!(here.calls(), 0);
    here.pass(SECOND);
    assert!(here.lease().is_some());

    let daily = || Process::with(account().limit(Limit::daily(5)));
    let (one, other, third) = (daily(), daily(), daily());
    one.serve("ada", WHOLE, &KnownState::Unused);
    assert!(one.lease().is_some());
    let told = one.reserve("ada");
    assert!(one.lease().is_some());
    assert!(one.pool.0.try_lease().is_none(), "the fleet has not heard that it may be used");
    other.serve("ada", WHOLE, &KnownState::AtLeast(told));
    assert_eq!(other.calls(), 3, "one before it was told last, and one that it might use since");
    third.serve("ada", WHOLE, &KnownState::AtLeast(None));
    assert_eq!(third.calls(), 0);

    let here = Process::with(account().usage_cap(100));
    here.serve("ada", WHOLE, &KnownState::AtLeast(None));
    assert_eq!((here.calls(), here.told("ada")), (0, Some((Some((1, QuarantineCause::UsageCap)), 0))));
    here.supply("ada", 2);
    assert!(here.lease().is_some());
}

#[tokio::test]
async fn a_dear_call_finds_the_one_account_of_many_whose_quota_allows_it() {
    let process = Process::new();
    let names: Vec<String> = (0..20).map(|number| format!("a{number}")).collect();
    for name in &names {
        process.pool.add_elsewhere(Account::new(name, NoLogin).limit(Limit::daily_cost(1000))).unwrap();
        process.serve(name, WHOLE, &KnownState::Unused);
    }
    // What a member does when accounts have changed.
    let tell = || {
        let changed = process.pool.take_changed(usize::MAX);
        changed
            .iter()
            .filter(|account| account.is_short)
            .filter(|account| process.reserve(&account.name).is_some())
            .count()
    };
    let mut given: Vec<String> = Vec::new();
    for _ in 0..40 {
        let mut lease = process.pool.lease().cost(400).into_future();
        let mut granted = None;
        for _ in 0..5 {
            let polled = poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut lease).poll(cx))).await;
            if let Poll::Ready(lease) = polled {
                granted = Some(lease.unwrap());
                break;
            }
            tell();
        }
        given.push(granted.unwrap_or_else(|| panic!("{given:?} of 20 accounts with 1000 each")).account().to_owned());
    }
    let mut last = waiting(process.pool.lease().cost(400)).await;
    assert!(is_pending(&mut last).await, "200 are left at each");
    tell();
    assert_eq!((tell(), is_pending(&mut last).await), (0, true), "nothing is told while nothing changes");
}

#[tokio::test]
async fn a_token_goes_on_to_count_where_the_account_goes() {
    let capped = || account().usage_cap(3);
    let (one, other) = (Process::with(capped()), Process::with(capped()));
    one.serve("ada", WHOLE, &KnownState::Unused);
    assert!(one.lease().is_some() && one.lease().is_some());
    other.serve("ada", WHOLE, &KnownState::Exactly(one.release("ada")));
    assert_eq!((other.calls(), other.told("ada")), (1, Some((Some((1, QuarantineCause::UsageCap)), 0))));
    let state = other.release("ada");
    one.serve("ada", WHOLE, &KnownState::Exactly(state));
    assert_eq!((one.calls(), one.told("ada")), (0, Some((Some((1, QuarantineCause::UsageCap)), 0))));
    one.supply("ada", 2);
    assert_eq!((one.calls(), one.told("ada")), (3, Some((Some((2, QuarantineCause::UsageCap)), 0))));
}

#[tokio::test]
async fn a_rejected_token_is_told_and_only_a_newer_one_ends_it() {
    let here = Process::with(account());
    here.serve("ada", WHOLE, &KnownState::Unused);
    here.told("ada");
    let (stale, lease) = (here.lease().unwrap(), here.lease().unwrap());
    lease.rejected();
    assert_eq!(here.told("ada"), Some((Some((1, QuarantineCause::Rejected)), 1)));
    here.supply("ada", 1);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Rejected));
    here.supply("ada", 3);
    stale.rejected();
    assert_eq!((here.cause("ada"), here.told("ada")), (None, Some((None, 0))));
    assert!(here.lease().is_some());
    here.supply("ada", 2);
    assert_eq!(here.lease().unwrap().token().generation(), 3);
}

#[tokio::test]
async fn what_is_reported_of_a_lease_whose_share_has_moved_is_told() {
    let here = Process::with(account());
    here.serve("ada", WHOLE, &KnownState::Unused);
    let [rejected, limited, used_up] = [(); 3].map(|()| here.lease().unwrap());
    here.release("ada");
    here.told("ada");
    rejected.rejected();
    assert_eq!(here.told("ada"), Some((Some((1, QuarantineCause::Rejected)), 2)));
    let rest = || here.pool.take_changed(10).pop().unwrap().quarantine.map(|rest| (rest.cause, rest.until));
    let ends = |time| Some((here.moment() + time).boot.as_nanos());
    limited.rate_limited(Some(SECOND));
    assert_eq!(rest(), Some((QuarantineCause::RateLimited, ends(SECOND))));
    used_up.quota_used_up(Some(9 * SECOND));
    assert_eq!(rest(), Some((QuarantineCause::QuotaUsedUp, ends(9 * SECOND))));

    here.serve("ada", WHOLE, &KnownState::Unused);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::QuotaUsedUp), "it goes on if the share comes back");
    here.pass(9 * SECOND);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Rejected), "so does the rejection");
    here.supply("ada", 2);
    assert!(here.lease().is_some());
}

#[tokio::test]
async fn a_token_that_is_rejected_before_the_share_has_one_again_is_not_taken() {
    let here = Process::with(account());
    here.serve("ada", WHOLE, &KnownState::Unused);
    let lease = here.lease().unwrap();
    here.release("ada");
    here.grant("ada", WHOLE, &KnownState::Unused);
    lease.rejected();
    here.supply("ada", 1);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Rejected));
    assert_eq!(here.told("ada"), Some((Some((1, QuarantineCause::Rejected)), 0)));
}

#[tokio::test]
async fn a_token_serves_until_it_expires_and_then_one_is_wanted() {
    let here = Process::with(account());
    here.grant("ada", WHOLE, &KnownState::Unused);
    here.supply_for("ada", 1, 100 * SECOND);
    here.pass(just_before(100 * SECOND));
    assert!(here.lease().is_some());
    here.pass(Duration::from_nanos(1));
    assert!(here.lease().is_none());
    assert_eq!(here.told("ada"), Some((Some((1, QuarantineCause::Expired)), 0)));
    here.supply("ada", 2);
    assert!(here.lease().is_some());
}

#[tokio::test]
async fn leases_that_others_hold_count_and_those_held_here_after_a_release_are_told() {
    let limited = || account().concurrency(3);
    let (one, other) = (Process::with(limited()), Process::with(limited()));
    one.serve("ada", Share { units: 3, of: 3, ..WHOLE }, &KnownState::Unused);
    let leases: Vec<_> = std::iter::from_fn(|| one.lease()).collect();
    let state = one.release("ada");
    assert_eq!((leases.len(), state.held), (3, 3));
    let share = |held_elsewhere| Share { units: 3, of: 3, held_elsewhere, ..WHOLE };
    other.serve("ada", share(3), &KnownState::Exactly(state));
    assert_eq!(other.calls(), 0);
    let caller = waiting(other.pool.lease()).await;
    one.told("ada");
    drop(leases);
    assert_eq!(one.told("ada"), Some((None, 0)));
    other.pool.change_share("ada", share(2));
    let held = caller.await.unwrap();
    assert!(other.lease().is_none());
    other.pool.change_share("ada", share(0));
    assert_eq!(std::iter::from_fn(|| other.lease()).collect::<Vec<_>>().len(), 2);
    drop(held);
}

#[tokio::test]
async fn a_share_that_changes_neither_forgives_nor_doubles_what_is_owed() {
    let here = Process::with(account().rate(10, SECOND).burst(10));
    let share = |units| Share { units, of: 10, ..WHOLE };
    here.serve("ada", share(4), &KnownState::Unused);
    assert_eq!(here.calls(), 4);
    here.pool.change_share("ada", share(10));
    assert_eq!(here.calls(), 0, "units that are gained come with their burst owed");
    here.pass(SECOND / 10);
    assert_eq!(here.calls(), 1, "at the rate of all units");
    here.pass(SECOND);
    assert_eq!(here.calls(), 10);
    here.pool.change_share("ada", share(2));
    assert_eq!(here.calls(), 0);
    here.pass(SECOND / 2);
    assert_eq!(here.calls(), 1, "at the rate of two units");
    for units in [1, 2, 1, 2] {
        here.pool.change_share("ada", share(units));
    }
    assert_eq!(here.calls(), 0);
    here.pass(SECOND);
    assert_eq!(here.calls(), 2, "no more is owed than all of the burst");
}

#[tokio::test]
async fn a_key_waits_for_its_account_elsewhere_which_is_wanted_then() {
    let here = Process::with(account()).and(Account::new("bob", NoLogin));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let keys: Vec<_> = (0..50).map(|key| key.to_string()).collect();
    let mut of_bob = None;
    for key in keys {
        let mut request = here.pool.lease().key(&key).into_future();
        if is_pending(&mut request).await {
            of_bob = Some(request);
            break;
        }
    }
    let caller = of_bob.expect("a key of bob's, which is elsewhere");
    let demand = here.pool.demand();
    assert_eq!((demand.wanted, demand.waiting), (vec![("bob".to_owned(), 1)], vec![]));
    here.pool.demand_arose().await;
    here.serve("bob", WHOLE, &KnownState::Unused);
    assert_eq!(caller.await.unwrap().account(), "bob");
    assert!(here.pool.demand().wanted.is_empty());
}

#[tokio::test]
async fn demand_arises_for_what_nothing_here_can_serve_and_is_not_missed() {
    let here = Process::with(account().tag("eu").concurrency(1)).and(Account::new("bob", NoLogin).tag("us"));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let mut arose = Box::pin(here.pool.demand_arose());
    let lease = here.lease().unwrap();
    let first = waiting(here.pool.lease().tag("eu")).await;
    assert!(is_pending(&mut arose).await, "its lease will end");
    let second = waiting(here.pool.lease().tag("us")).await;
    let third = waiting(here.pool.lease().tag("us")).await;
    arose.await;
    let demand = here.pool.demand();
    assert_eq!(demand.waiting, [(Some("us".to_owned()), 2), (Some("eu".to_owned()), 1)]);
    assert_eq!((demand.held, demand.leases), (1, 1));
    let mut arose = Box::pin(here.pool.demand_arose());
    assert!(is_pending(&mut arose).await);
    here.release("ada");
    arose.await;
    drop((lease, first, second, third));
    assert_eq!(here.pool.demand().waiting, []);
}

/// What callers with the tag "eu" use, as it is told.
fn use_of_eu(held: u32, leases: u64) -> Vec<(String, TagUse)> {
    vec![("eu".to_owned(), TagUse { held, leases })]
}

#[tokio::test]
async fn callers_who_are_served_at_once_ask_for_their_tag_until_their_leases_end() {
    let here = Process::with(account().tag("eu")).and(Account::new("bob", NoLogin).tag("us"));
    here.serve("ada", WHOLE, &KnownState::Unused);
    here.serve("bob", WHOLE, &KnownState::Unused);
    let tagged = here.pool.lease().tag("eu").await.unwrap();
    let keyed = here.pool.lease().tag("eu").key("a customer").await.unwrap();
    let untagged = here.lease().unwrap();
    assert_eq!(here.pool.demand().used, use_of_eu(2, 2));
    let demand = here.pool.take_demand();
    assert_eq!((demand.used, demand.held, demand.leases), (use_of_eu(2, 2), 3, 3));
    drop((keyed, untagged));
    let demand = here.pool.demand();
    assert_eq!((demand.used, demand.held, demand.leases), (use_of_eu(1, 0), 1, 3));
    drop(tagged);
    assert_eq!(here.pool.demand().used, []);
}

#[tokio::test]
async fn leases_count_for_their_tag_no_more_that_end_when_their_account_has_another_or_has_gone() {
    let here = Process::with(account().tag("eu"));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(here.pool.lease().tag("eu").await.unwrap());
    }
    let here = here.and(Account::new("bob", NoLogin).tag("eu"));
    here.serve("bob", WHOLE, &KnownState::Unused);
    here.pool.take_demand();
    assert!(here.pool.redefine(&account().tag("us")).unwrap());
    assert_eq!(here.pool.demand().used, use_of_eu(3, 0));
    leases.pop();
    assert_eq!(here.pool.demand().used, use_of_eu(2, 0));
    assert!(here.pool.remove("ada"));
    leases.pop();
    assert_eq!(here.pool.demand().used, use_of_eu(1, 0));
    leases.pop();
    assert_eq!(here.pool.demand().used, []);
}

#[tokio::test]
async fn leases_of_an_account_that_has_moved_on_ask_for_its_tag_only_beside_callers_who_wait() {
    let here = Process::with(account().tag("eu"));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let lease = here.pool.lease().tag("eu").await.unwrap();
    here.release("ada");
    assert_eq!(here.pool.demand().used, []);
    let caller = waiting(here.pool.lease().tag("eu")).await;
    assert_eq!(here.pool.demand().used, use_of_eu(1, 1));
    drop((lease, caller));
}

#[tokio::test]
async fn of_many_tags_those_are_told_that_callers_wait_for_and_then_those_that_are_used_most() {
    let tags: Vec<String> = (0..70).map(|number| format!("t{number}")).collect();
    let all = tags.iter().fold(account(), Account::tag);
    let here = Process::with(all).and(Account::new("bob", NoLogin).tag("us"));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let mut leases = Vec::new();
    for tag in tags.iter().chain(&tags[5..]) {
        leases.push(here.pool.lease().tag(tag).await.unwrap());
    }
    let told = here.pool.demand().used;
    assert_eq!(told.len(), 64);
    assert!(told.iter().all(|(_, used)| used.held == 2), "{told:?}");
    here.release("ada");
    let callers = [waiting(here.pool.lease().tag("us")).await, waiting(here.pool.lease().tag("t0")).await];
    here.serve("ada", WHOLE, &KnownState::Unused);
    assert_eq!(here.pool.demand().waiting, [(Some("us".to_owned()), 1)]);
    assert_eq!(here.pool.demand().used.len(), 63);
    drop(callers);
}

#[tokio::test]
async fn what_others_say_of_an_account_is_shown_here_and_elsewhere_alike() {
    let here = Process::with(account()).and(Account::new("bob", NoLogin));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let denied = || Some(Error::denied("the password is wrong"));
    for name in ["ada", "bob"] {
        here.pool.set_unavailable(name, QuarantineCause::Denied, Some(i64::MAX), denied());
    }
    let error = here.pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount);
    assert!(!error.what().contains("returns in"), "{}", error.what());
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), denied().unwrap().to_string());
    here.pool.set_available("bob");
    assert_eq!(here.cause("bob"), Some(QuarantineCause::Elsewhere));
    let caller = waiting(here.pool.lease()).await;
    here.pool.set_available("ada");
    assert_eq!(caller.await.unwrap().account(), "ada");
    here.pool.set_unavailable("ada", QuarantineCause::Rejected, None, None);
    here.supply("ada", 2);
    assert_eq!(here.cause("ada"), None, "new tokens end it");
}

#[tokio::test]
async fn a_rest_of_its_own_goes_on_after_what_others_said_and_is_all_that_is_told() {
    let here = Process::with(account());
    here.serve("ada", WHOLE, &KnownState::Unused);
    let lease = here.lease().unwrap();
    here.lease().unwrap().quota_used_up(Some(100 * SECOND));
    here.pool.set_unavailable("ada", QuarantineCause::ByHand, Some(i64::MAX), None);
    let told = here.pool.take_changed(10).pop().unwrap().quarantine.unwrap();
    assert_eq!(told.cause, QuarantineCause::QuotaUsedUp);
    lease.quota_used_up(Some(200 * SECOND));
    here.pool.set_available("ada");
    assert_eq!(here.cause("ada"), Some(QuarantineCause::QuotaUsedUp));
    here.pass(just_before(200 * SECOND));
    assert!(here.lease().is_none());
    here.pass(Duration::from_nanos(1));
    assert!(here.lease().is_some());

    here.pool.set_unavailable("ada", QuarantineCause::ByHand, Some((here.moment() + SECOND).boot.as_nanos()), None);
    here.supply("ada", 2);
    assert!(here.lease().is_none(), "a new token does not end it");
    here.pass(SECOND);
    assert!(here.lease().is_some());
}

#[tokio::test]
async fn a_rest_that_others_were_told_of_is_ended_by_nothing_else_and_ends_nothing_else() {
    const HALF: Share = Share { units: 1, of: 2, ..WHOLE };
    let here = Process::with(account());
    here.serve("ada", HALF, &KnownState::Unused);
    let rest = |time| {
        let until = (here.moment() + time).boot.as_nanos();
        here.pool.rest_as_told_others("ada", QuarantineCause::RateLimited, until);
    };
    let told = || here.pool.take_changed(10).pop().and_then(|change| change.quarantine);
    rest(10 * SECOND);
    assert!(told().is_none(), "they know it");
    // The auth workers tell of the account again when they have a new token, and of other things.
    here.pool.set_available("ada");
    here.supply("ada", 2);
    here.pool.set_unavailable("ada", QuarantineCause::Rejected, None, None);
    here.supply("ada", 3);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::RateLimited));
    here.pass(just_before(10 * SECOND));
    let own = here.lease();
    assert!(own.is_none(), "it rests");
    here.pass(Duration::from_nanos(1));
    let own = here.lease().unwrap();

    // A rest of its own that is longer goes on, and one that came meanwhile begins.
    own.quota_used_up(Some(100 * SECOND));
    rest(10 * SECOND);
    assert_eq!(told().unwrap().cause, QuarantineCause::QuotaUsedUp, "its own is told");
    here.pass(10 * SECOND);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::QuotaUsedUp));
    rest(10 * SECOND);
    own.quota_used_up(Some(200 * SECOND));
    here.pass(just_before(200 * SECOND));
    assert_eq!(here.cause("ada"), Some(QuarantineCause::QuotaUsedUp));
    here.pass(Duration::from_nanos(1));
    assert!(here.lease().is_some());

    // What the auth workers say holds until they say that it does not.
    here.pool.set_unavailable("ada", QuarantineCause::Denied, Some(i64::MAX), None);
    rest(SECOND);
    here.pass(2 * SECOND);
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Denied));
    rest(SECOND);
    here.pool.set_available("ada");
    assert_eq!(here.cause("ada"), Some(QuarantineCause::RateLimited));
    here.release("ada");
    assert_eq!(here.cause("ada"), Some(QuarantineCause::Elsewhere), "who has it rests then");
}

#[tokio::test]
async fn once_the_shares_have_ended_nothing_is_leased_until_they_are_extended() {
    let here =
        Process::with(account().rate(10, SECOND).burst(9)).and(Account::new("bob", NoLogin).limit(Limit::daily(9)));
    here.serve("ada", WHOLE, &KnownState::Unused);
    here.serve("bob", WHOLE, &KnownState::Unused);
    let end = |time: Duration| here.pool.shares_end_at((here.moment() + time).boot.as_nanos());
    end(SECOND);
    here.pass(just_before(SECOND));
    assert!(here.lease().is_some());
    here.pass(Duration::from_nanos(1));
    assert!(here.lease().is_none());
    let mut callers = vec![waiting(here.pool.lease()).await, waiting(here.pool.lease().key("k")).await];
    here.pass(100 * SECOND);
    for caller in &mut callers {
        assert!(is_pending(caller).await);
    }
    let wakes = here.pool.0.change(|state, _| state.wake_at());
    assert!(wakes > here.moment().boot.as_nanos(), "nothing is due while the shares have ended");
    end(SECOND);
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn callers_of_a_fleet_that_is_away_get_a_named_error_once_the_shares_have_ended() {
    let here = Process::with(account()).and(Account::new("bob", NoLogin).tag("us"));
    here.serve("ada", WHOLE, &KnownState::Unused);
    here.pool.shares_end_at((here.moment() + SECOND).boot.as_nanos());
    let away = Error::new(ErrorKind::Store, "Redis cannot be reached");
    here.pool.set_disconnected(Some(away));
    assert!(here.lease().is_some(), "the shares go on");
    let caller = waiting(here.pool.lease().tag("us")).await;
    here.pass(SECOND);
    assert_eq!(caller.await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(here.pool.lease().await.unwrap_err().kind(), ErrorKind::Store);
    here.pool.set_disconnected(None);
    let caller = waiting(here.pool.lease()).await;
    here.pool.shares_end_at(i64::MAX);
    caller.await.unwrap();
}

#[tokio::test]
async fn changes_are_told_once_each_and_waited_for() {
    let here = Process::new();
    let mut waits = Box::pin(here.pool.changed());
    assert!(is_pending(&mut waits).await);
    here.pool.add_elsewhere(account()).unwrap();
    waits.await;
    here.serve("ada", WHOLE, &KnownState::Unused);
    let changes = here.pool.take_changed(10);
    let token = changes[0].token.as_ref().unwrap();
    assert_eq!((changes.len(), token.sequence, token.expires), (1, 1, here.moment() + 3600 * SECOND));
    assert!(changes[0].quarantine.is_none() && here.pool.take_changed(10).is_empty());
    assert!(here.pool.remove("ada"));
    here.pool.add_elsewhere(account()).unwrap();
    let changes = here.pool.take_changed(10);
    assert_eq!(changes.iter().map(|change| change.is_removed).collect::<Vec<_>>(), [true, false]);
    assert!(is_pending(&mut pin!(here.pool.changed())).await);
}

#[tokio::test]
async fn a_token_that_a_member_rejects_is_renewed_by_the_process_that_got_it() {
    let worker = Process::new();
    worker.pool.add(Account::new("ada", Numbered::default()).rate(10, SECOND)).unwrap();
    worker.pool.wait_ready(1, Duration::MAX).await.unwrap();
    let sequence = |worker: &Process| {
        worker.pool.0.change(|state, _| state.account("ada").unwrap().1.token.as_ref().map(AccessToken::generation))
    };
    let first = sequence(&worker).unwrap();
    let changes = worker.pool.take_changed(10);
    assert_eq!(changes[0].token.as_ref().unwrap().sequence, first);
    assert!(changes[0].wants.is_none() && changes[0].quarantine.is_none());
    worker.pool.renew_rejected("ada", first + 7, QuarantineCause::Rejected);
    assert_eq!(worker.pool.take_changed(10).len(), 1, "it is told again");
    worker.pool.renew_rejected("ada", first, QuarantineCause::Expired);
    assert!(worker.pool.take_changed(10).is_empty(), "there is nothing to tell until it is renewed");
    assert_eq!(sequence(&worker), Some(first));
    for cause in [QuarantineCause::UsageCap, QuarantineCause::Rejected] {
        let before = sequence(&worker).unwrap();
        worker.pool.renew_rejected("ada", before, cause);
        worker.pool.wait_ready(1, Duration::MAX).await.unwrap();
        assert!(sequence(&worker).unwrap() > before, "after {cause}");
        worker.pool.renew_rejected("ada", before, cause);
        assert_eq!(worker.cause("ada"), None, "an old report changes nothing");
    }
    assert!(worker.pool.take_changed(10)[0].token.is_some());
}

#[tokio::test]
async fn a_token_is_renewed_to_catch_up_with_a_later_one_and_only_told_if_it_is_as_late() {
    let worker = Process::new();
    worker.pool.add(Account::new("ada", Numbered::default()).rate(10, SECOND)).unwrap();
    worker.pool.wait_ready(1, Duration::MAX).await.unwrap();
    let told = |worker: &Process| worker.pool.take_changed(10)[0].token.as_ref().map(|token| token.sequence);
    let first = told(&worker).unwrap();
    worker.pool.catch_up("ada", first);
    assert_eq!(told(&worker), Some(first));
    assert!(is_pending(&mut pin!(worker.pool.changed())).await, "it is not renewed");
    worker.pool.catch_up("ada", first + 1);
    worker.pool.changed().await;
    assert_eq!(told(&worker), Some(first + 1));
}

/// An authenticator that logs in with another token each time.
#[derive(Default)]
struct Numbered(AtomicU64);

impl Authenticator for Numbered {
    async fn login(&self) -> Result<Tokens, Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Tokens::new(format!("token-{number}"))?.expires_in(3600 * SECOND))
    }
}

#[tokio::test]
async fn tokens_from_a_store_have_the_numbers_by_which_all_processes_know_them() {
    let store = Arc::new(MemoryStore::default());
    for logins in 1..=3 {
        let pool = Pool::builder().store(Arc::clone(&store)).account(Account::new("ada", Numbered::default()));
        let pool = pool.account(Account::new("bob", Numbered::default())).build().unwrap();
        pool.watch();
        pool.wait_ready(2, Duration::MAX).await.unwrap();
        for account in ["ada", "bob"] {
            let generation =
                |state: &mut PoolState, _| state.account(account).unwrap().1.token.clone().unwrap().generation();
            let before = pool.0.change(generation);
            assert_eq!(before, logins, "of {account}");
            pool.renew_rejected(account, before, QuarantineCause::UsageCap);
            pool.wait_ready(2, Duration::MAX).await.unwrap();
            assert_eq!(pool.0.change(generation), before + 1);
        }
        pool.close(Duration::MAX).await;
    }
}

/// Moves shares among three processes, each of which spends all that it may, and counts the calls.
fn spends_at_most(moves: Vec<(usize, u32, bool)>, steps: u64) -> Result<(), TestCaseError> {
    let share = |units| Share { units, of: 10, ..WHOLE };
    let limited = || account().rate(10, SECOND).burst(10);
    let processes = [0, 500, 7].map(|up| Process::up_for(Duration::from_secs(up)).and(limited()));
    let mut units = [10, 0, 0];
    processes[0].serve("ada", share(10), &KnownState::Unused);
    let mut calls = Vec::new();
    let mut now = 0_u64;
    for (from, given, is_whole) in moves {
        for process in &processes {
            calls.extend(std::iter::repeat_n(now, process.calls()));
        }
        for process in &processes {
            process.pass(Duration::from_millis(steps));
        }
        now += steps;
        let (from, to) = (from % 3, (from + 1) % 3);
        let given = if is_whole { units[from] } else { (given % 11).min(units[from]) };
        if given == 0 {
            continue;
        }
        units[from] -= given;
        // All units go along with what is owed of them, and of a part the receiver owes all.
        let before = if units[from] == 0 {
            KnownState::Exactly(processes[from].release("ada"))
        } else {
            processes[from].pool.change_share("ada", share(units[from]));
            KnownState::AtLeast(None)
        };
        if units[to] == 0 {
            processes[to].serve("ada", share(given), &before);
        } else {
            processes[to].pool.change_share("ada", share(units[to] + given));
        }
        units[to] += given;
    }
    for (at, &begin) in calls.iter().enumerate() {
        for (further, &end) in calls[at..].iter().enumerate() {
            let most = 10 + (end - begin) / 100;
            prop_assert!(further < usize::try_from(most).unwrap() + 1, "{} calls in {} ms", further + 1, end - begin);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_way_of_moving_shares_lets_more_calls_through_than_the_account_allows(
        moves in prop::collection::vec((0..3_usize, any::<u32>(), any::<bool>()), 1..40),
        steps in 1..400_u64,
    ) {
        spends_at_most(moves, steps)?;
    }
}

#[tokio::test]
async fn what_was_spent_counts_when_an_account_is_given_another_limit_beside() {
    let (daily, hourly) = (|most| Limit::daily(most), Limit::requests(4, 3600 * SECOND).strict());
    let here = Process::with(account().limit(daily(9)));
    here.serve("ada", WHOLE, &KnownState::Unused);
    let held = here.lease().unwrap();
    drop(here.lease().unwrap());
    assert!(here.pool.redefine(&account().limit(hourly.clone()).limit(daily(5))).unwrap());
    here.supply("ada", 1);
    assert_eq!(here.calls(), 3, "of the day, and of the hour beside the call in flight");
    assert_eq!(here.cause("ada"), Some(QuarantineCause::QuotaUsedUp));
    let state = here.release("ada");
    assert_eq!(state.held, 1);
    let other = Process::with(account().limit(hourly).limit(daily(9)));
    other.serve("ada", WHOLE, &KnownState::Exactly(state));
    assert_eq!(other.calls(), 0, "four calls of this hour");
    drop(held);
    assert_eq!(here.told("ada"), Some((None, 0)));
}

#[tokio::test]
async fn an_account_that_is_given_its_first_quota_while_it_moves_has_spent_none_of_it() {
    let former = Process::with(account());
    former.serve("ada", WHOLE, &KnownState::Unused);
    drop(former.lease().unwrap());
    let state = former.release("ada");
    let next = Process::with(account().limit(Limit::daily(5)));
    next.serve("ada", WHOLE, &KnownState::Exactly(state));
    assert_eq!(next.calls(), 5);
}

#[tokio::test]
async fn callers_follow_an_account_to_its_new_tags_and_a_tag_that_no_account_has_is_refused() {
    let here = Process::with(account().tag("eu").tag("fast")).and(Account::new("bob", NoLogin).tag("us"));
    let [old, kept, key] = [here.pool.lease().tag("eu"), here.pool.lease().tag("fast"), here.pool.lease().key("k")];
    let (old, kept, key) = (waiting(old).await, waiting(kept).await, waiting(key.tag("fast")).await);
    assert!(here.pool.redefine(&account().tag("fast").tag("us").tier(1)).unwrap());
    assert_eq!(old.await.unwrap_err().kind(), ErrorKind::NoAccount);
    assert_eq!(here.pool.lease().tag("eu").await.unwrap_err().kind(), ErrorKind::NoAccount);
    here.serve("ada", WHOLE, &KnownState::Unused);
    assert_eq!((kept.await.unwrap().account(), key.await.unwrap().account()), ("ada", "ada"));
    assert_eq!(here.pool.lease().tag("us").await.unwrap().account(), "ada");
    here.serve("bob", WHOLE, &KnownState::Unused);
    assert_eq!(here.pool.lease().tag("us").await.unwrap().account(), "bob", "of an earlier tier");
    assert!(!here.pool.redefine(&Account::new("eve", NoLogin)).unwrap());
}

/// What is said of an account in a random walk.
fn said() -> impl Strategy<Value = Account> {
    let tags = prop::collection::vec(0..3_usize, 0..3);
    (1..4_u32, tags, 0..2_u8, prop::option::of(1..50_u64)).prop_map(|(concurrency, tags, tier, daily)| {
        let account = account().concurrency(concurrency).tier(tier);
        let account = tags.into_iter().fold(account, |account, tag| account.tag(TAGS[tag]));
        daily
            .into_iter()
            .fold(account, |account, most| account.limit(Limit::daily(1000)).limit(Limit::cost(most, SECOND).burst(9)))
    })
}

const TAGS: [&str; 3] = ["a", "b", "c"];

proptest! {
    #[test]
    fn however_often_an_account_is_given_other_limits_its_leases_count_and_its_tags_find_it(
        steps in prop::collection::vec((said(), 0..4_usize, 0..3_usize, any::<bool>()), 1..12),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let here = Process::with(account()).and(Account::new("bob", NoLogin).tag("b"));
            let mut leases: Vec<Lease> = Vec::new();
            for (said, ended, more, moves) in steps {
                let definition = crate::pool::definition::Definition::of(&said).unwrap();
                let whole = Share { units: definition.units(), of: definition.units(), ..WHOLE };
                here.pool.redefine(&said).unwrap();
                let state = if moves { here.pool.release_share("ada", 0) } else { None };
                here.serve("ada", whole, &state.map_or(KnownState::Unused, KnownState::Exactly));
                here.pool.change_share("ada", whole);
                here.pass(60 * SECOND);
                leases.truncate(leases.len().saturating_sub(ended));
                let free = usize::try_from(definition.leases_of(1, 1)).unwrap().saturating_sub(leases.len());
                let calls: Vec<Lease> = std::iter::from_fn(|| here.lease()).take(9).collect();
                prop_assert_eq!(calls.len(), free, "{} leases are held", leases.len());
                leases.extend(calls.into_iter().take(more));
                for tag in TAGS {
                    let has_tag = definition.tags().iter().any(|other| other == tag);
                    let found = here.pool.lease().tag(tag).within(Duration::ZERO).await;
                    let is_unknown = found.as_ref().is_err_and(|error| error.kind() == ErrorKind::NoAccount || error.kind() == ErrorKind::Configuration);
                    prop_assert_eq!(is_unknown, !has_tag && tag != "b", "{}: {:?}", tag, found);
                }
                let status = here.pool.status();
                prop_assert_eq!((status.accounts, status.active), (2, 1));
                prop_assert_eq!(here.pool.account("ada").unwrap().stats().unwrap().held as usize, leases.len());
            }
            here.pool.remove("ada");
            here.pool.remove("bob");
            for tag in TAGS {
                prop_assert!(here.pool.lease().tag(tag).await.is_err());
            }
            let status = here.pool.status();
            prop_assert_eq!((status.accounts, status.active, status.quarantined_for(QuarantineCause::Elsewhere)), (0, 0, 0));
            Ok(())
        })?;
    }
}
