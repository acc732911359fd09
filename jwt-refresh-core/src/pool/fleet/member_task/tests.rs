//! What a process makes of its rows in Redis, and what it says of them, without a Redis.

use std::future::poll_fn;
use std::task::Poll;

use super::*;
use crate::clock::ManualClock;
use crate::pool::account::Account;
use crate::pool::fleet::messages::{Release, release_field};
use crate::pool::fleet::place::Settings;
use crate::pool::lease::Lease;
use crate::pool::limit::{Limit, Totals};
use crate::pool::share::{KnownState, SuppliedToken};
use crate::pool::start::NoLogin;
use crate::provider::Renewal;
use crate::token::AccessToken;

const HOUR: Duration = Duration::from_secs(3600);

/// A process that knows one account.
struct Process {
    task: MemberTask,
    clock: ManualClock,
}

impl Process {
    fn with(account: &Account) -> Self {
        let clock = ManualClock::new();
        let place = Settings::new("redis://127.0.0.1:1", "catalog").place().unwrap();
        let pool = Pool::builder().clock(&clock).build().unwrap();
        pool.watch();
        let (member, signals) = FleetMember::new(place, pool).unwrap();
        let mut task = MemberTask::new(&member, None, signals).unwrap();
        (task.clock, task.standing.joins) = ((&clock).into(), false);
        let mut process = Self { task, clock };
        process.hear_of(account);
        process
    }

    /// Takes what the auth workers say of the account.
    fn hear_of(&mut self, account: &Account) {
        let definition = Definition::of(account).unwrap();
        self.task.accounts.rows.insert("ada".to_owned(), AccountRow { definition, unavailable: None, expires: None });
        self.task.take_account("ada");
    }

    /// Takes what the coordinator says of the account.
    fn take(&mut self, row: &ShareRow) {
        self.clock.advance(SHORTEST_ROUND);
        self.task.shares.rows.insert("ada".to_owned(), row.clone());
        self.task.take_share("ada");
        let token = AccessToken::new("token").unwrap();
        let expires = self.task.clock.moment() + HOUR;
        self.task.pool.supply("ada", SuppliedToken { token, sequence: 1, expires });
    }

    /// Has a caller with that tag wait.
    async fn waiting(&self, tag: &str) -> Renewal<Lease> {
        let mut caller = self.task.pool.lease().tag(tag).into_future();
        assert!(poll_fn(|cx| Poll::Ready(caller.as_mut().poll(cx).is_pending())).await);
        caller
    }

    async fn leases(&self, count: usize) -> Vec<Lease> {
        let mut leases = Vec::new();
        for _ in 0..count {
            leases.push(self.task.pool.lease().await.unwrap());
        }
        leases
    }

    /// Returns what Redis is to be told of the account, if anything.
    fn take_told(&mut self) -> Option<Release> {
        self.task.take_changes(AT_ONCE);
        let field = release_field("ada", &self.task.name);
        self.task.releases.unsent.remove(&field).map(|text| serde_json::from_str(&text).unwrap())
    }

    /// Says what it says with each heartbeat, and returns what else Redis is to be told then.
    fn beat(&mut self) -> Option<Release> {
        self.clock.advance(LONGEST_BEAT);
        self.task.report().unwrap();
        self.take_told()
    }
}

fn account() -> Account {
    Account::new("ada", NoLogin)
}

#[tokio::test]
async fn what_was_released_stays_released_when_the_row_changes_before_the_coordinator_has_seen_it() {
    let mut process = Process::with(&account().concurrency(4).usage_cap(9));
    let row = ShareRow { units: 1, of: 1, grant: 7, ..ShareRow::default() };
    process.take(&row);
    let leases = process.leases(2).await;
    let row = ShareRow { units: 0, leaving: 1, step: 1, ..row };
    process.take(&row);
    let told = process.take_told().unwrap();
    let served = told.state.as_ref().unwrap().served;
    assert_eq!((told.held, told.units, served), (2, 0, Some((1, 2))));
    process.take(&ShareRow { held_elsewhere: 3, step: 2, ..row });
    assert_eq!(process.take_told(), Some(Release { step: 2, ..told.clone() }));
    drop(leases);
    assert_eq!(process.take_told(), Some(Release { step: 2, held: 0, ..told }));
}

#[tokio::test]
async fn leases_of_a_former_share_that_end_while_the_account_is_here_again_count_for_others_no_more() {
    let mut process = Process::with(&account().concurrency(4));
    let row = ShareRow { units: 4, of: 4, grant: 7, ..ShareRow::default() };
    process.take(&row);
    let mut leases = process.leases(3).await;
    process.take(&ShareRow { units: 0, leaving: 4, step: 1, ..row.clone() });
    let told = process.take_told().unwrap();
    assert_eq!(told.held, 3);
    process.take(&ShareRow { units: 1, grant: 8, ..row });
    assert_eq!(process.take_told(), None);
    let held = |held| Some(Release { held, ..told.clone() });
    assert_eq!(process.beat(), held(2), "one of them is within its part");
    leases.pop();
    assert_eq!(process.beat(), held(1));
    leases.pop();
    assert_eq!(process.beat(), held(0));
    assert_eq!(process.beat(), None);
    process.take(&ShareRow { units: 0, leaving: 1, grant: 8, of: 4, step: 1, ..ShareRow::default() });
    assert_eq!(process.take_told().map(|told| (told.grant, told.held)), Some((8, 1)));
}

/// Has a caller with each of these tags come, one each millisecond, who waits for an account that
/// is elsewhere, or gives up. Returns when that was reported.
async fn reports_of_callers(tags: &[String], gives_up: bool) -> Vec<usize> {
    let mut process = Process::with(&tags[..9].iter().fold(account(), Account::tag));
    process.beat();
    let (mut waiting, mut reported) = (Vec::new(), Vec::new());
    for (at, tag) in tags.iter().enumerate() {
        process.clock.advance(Duration::from_millis(1));
        let caller = process.waiting(tag).await;
        // What the task does when it is woken by that.
        process.task.pool.demand_arose().await;
        process.task.has_new_demand = true;
        if let Some((report, _)) = process.task.report() {
            assert!(report.demand.iter().any(|(asked, _)| asked.as_ref() == Some(tag)), "{report:?}");
            reported.push(at);
        }
        waiting.extend(Some(caller).filter(|_| !gives_up));
    }
    reported
}

#[tokio::test]
async fn the_first_callers_are_reported_at_once_and_those_that_keep_coming_four_times_a_second() {
    let tags: Vec<String> = (0..4000).map(|number| format!("t{}", number % 9)).collect();
    for gives_up in [false, true] {
        let reported = reports_of_callers(&tags, gives_up).await;
        assert_eq!(reported[..4], [0, 1, 2, 3], "four at once");
        assert!(reported.len() <= 4 + 4 * 4 + 1, "{reported:?} (callers give up: {gives_up})");
        let longest = reported.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest <= Some(1000), "{reported:?}");
    }
}

/// Returns what is reported of callers with the next heartbeat.
fn reported(process: &mut Process) -> Vec<(Option<String>, u32)> {
    process.clock.advance(LONGEST_BEAT);
    process.task.report().unwrap().0.demand
}

#[tokio::test]
async fn callers_who_are_served_at_once_are_reported_with_the_tag_that_they_ask_for() {
    let mut process = Process::with(&account().tag("free"));
    process.take(&ShareRow { units: 1, of: 1, grant: 7, ..ShareRow::default() });
    process.beat();
    let untagged = process.leases(1).await;
    let mut tagged = Vec::new();
    for _ in 0..40 {
        let lease = process.task.pool.lease().tag("free").await.unwrap();
        tagged.extend(Some(lease).filter(|_| tagged.len() < 2));
    }
    let free = || Some("free".to_owned());
    assert_eq!(reported(&mut process), [(None, 1), (free(), 2 + 4)], "a tenth of the calls of a second");
    assert_eq!(reported(&mut process), [(None, 1), (free(), 2)]);
    drop(untagged);
    assert_eq!(reported(&mut process), [(free(), 2)]);
    drop(tagged);
    assert_eq!(reported(&mut process), []);
}

#[tokio::test]
async fn a_report_before_its_time_does_not_forget_calls_that_go_on() {
    let mut process = Process::with(&account().tag("free"));
    process.task.pool.add_elsewhere(Account::new("bob", NoLogin).tag("elsewhere")).unwrap();
    process.take(&ShareRow { units: 1, of: 1, grant: 7, ..ShareRow::default() });
    process.beat();
    for _ in 0..400 {
        process.task.pool.lease().tag("free").await.unwrap();
    }
    let free = |count| (Some("free".to_owned()), count);
    assert_eq!(reported(&mut process), [free(40)]);
    process.clock.advance(NEWS / 10);
    let _caller = process.waiting("elsewhere").await;
    process.task.has_new_demand = true;
    let waiting = (Some("elsewhere".to_owned()), 1);
    assert_eq!(process.task.report().unwrap().0.demand, [waiting.clone(), free(37)]);
    assert_eq!(reported(&mut process), [waiting, free(9)], "they have ended");
}

#[tokio::test]
async fn callers_with_many_tags_who_are_served_at_once_are_reported_no_more_often() {
    let tags: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
    let mut process = Process::with(&tags.iter().fold(account(), Account::tag));
    process.take(&ShareRow { units: 1, of: 1, grant: 7, ..ShareRow::default() });
    process.beat();
    let mut reports = 0;
    for tag in tags.iter().cycle().take(400) {
        process.clock.advance(Duration::from_millis(25));
        for _ in 0..10 {
            process.task.pool.lease().tag(tag).await.unwrap();
        }
        reports += u32::from(process.task.report().is_some());
    }
    assert!(reports <= 11, "{reports} reports in ten seconds");
}

#[tokio::test]
async fn of_a_part_that_has_shrunk_before_its_process_hears_of_it_the_rest_is_given_back() {
    let mut process = Process::with(&account().concurrency(4));
    let row = ShareRow { units: 1, leaving: 3, of: 4, grant: 7, step: 1, ..ShareRow::default() };
    process.take(&row);
    process.task.release_units();
    assert_eq!(process.take_told(), Some(Release::of(&row)));
}

/// Whether a caller would be served now.
async fn is_served(process: &Process) -> bool {
    let mut caller = process.task.pool.lease().into_future();
    poll_fn(|cx| Poll::Ready(caller.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn leases_go_on_to_count_when_the_account_is_given_another_tag() {
    let mut process = Process::with(&account().concurrency(4));
    let row = ShareRow { units: 4, of: 4, grant: 7, ..ShareRow::default() };
    process.take(&row);
    let mut leases = process.leases(4).await;
    process.hear_of(&account().concurrency(4).tag("eu"));
    process.take(&row);
    assert!(!is_served(&process).await, "a fifth lease at once");
    leases.pop();
    assert!(is_served(&process).await);
    process.take(&ShareRow { units: 0, leaving: 4, step: 1, ..row });
    assert_eq!(process.take_told().map(|told| told.held), Some(3));
    process.hear_of(&account().concurrency(4));
    assert_eq!(process.take_told().map(|told| told.held), None, "none of them has ended");
    leases.pop();
    assert_eq!(process.take_told().map(|told| told.held), Some(2));
}

/// Returns what a process tells of a share that it hears of when it is to be given back.
fn given_back_at_once(process: &mut Process, known: KnownState) -> Option<AccountState> {
    process.take(&ShareRow { leaving: 1, of: 1, grant: 9, step: 1, known, ..ShareRow::default() });
    process.take_told().unwrap().state
}

#[tokio::test]
async fn a_share_that_goes_before_its_process_has_heard_of_it_takes_nothing_of_what_is_known_of_the_account() {
    let account = account().limit(Limit::daily(100));
    let state = |reserved| AccountState { arrival: 7, reserved, ..AccountState::unspent(1) };
    let spent = Some(Totals { requests: 3, cost: 0 });
    for (known, told) in [
        (KnownState::Exactly(state(None)), Some(state(None))),
        (KnownState::AtLeast(Some(state(spent))), Some(state(spent))),
        (KnownState::AtLeast(Some(state(None))), None),
        (KnownState::AtLeast(None), None),
        (KnownState::Unused, Some(AccountState::unspent(1))),
    ] {
        let mut process = Process::with(&account);
        assert_eq!(given_back_at_once(&mut process, known.clone()), told, "{known:?}");
    }
}

#[tokio::test]
async fn of_a_share_that_a_process_has_used_and_forgotten_the_worst_is_assumed() {
    let mut process = Process::with(&account().limit(Limit::daily(100)));
    let known = KnownState::Exactly(AccountState { reserved: None, ..AccountState::unspent(1) });
    process.take(&ShareRow { units: 1, of: 1, grant: 9, known: known.clone(), ..ShareRow::default() });
    process.task.held.clear();
    process.task.releases.forget();
    assert_eq!(given_back_at_once(&mut process, known), None);
}

#[tokio::test]
async fn a_share_that_is_heard_of_while_its_account_is_not_here_loses_nothing_of_what_is_known() {
    let account = account().limit(Limit::daily(100));
    let row = ShareRow { units: 1, of: 1, grant: 9, ..ShareRow::default() };
    let leaving = ShareRow { units: 0, leaving: 1, step: 1, ..row.clone() };
    let mut process = Process::with(&account);
    process.take(&row);
    process.take(&leaving);
    let told = process.take_told().unwrap().state.map(|state| state.limits);
    for comes_back in [false, true] {
        let mut process = Process::with(&account);
        process.task.accounts.rows.clear();
        process.task.take_account("ada");
        process.take(&row);
        if comes_back {
            process.hear_of(&account);
            assert!(process.task.news.shares && process.task.shares.has_changed("ada"));
            process.take(&row);
        }
        process.take(&leaving);
        let limits = process.take_told().unwrap().state.map(|state| state.limits);
        assert_eq!(limits, if comes_back { told.clone() } else { Some(Vec::new()) }, "nothing was spent");
    }
}

#[tokio::test]
async fn leases_of_a_share_that_the_coordinator_does_not_confirm_are_told() {
    let mut process = Process::with(&account().concurrency(4));
    process.take(&ShareRow { units: 3, of: 4, grant: 7, ..ShareRow::default() });
    let mut leases = process.leases(2).await;
    process.task.shares.rows.clear();
    process.task.take_share("ada");
    let told = process.take_told().unwrap();
    assert_eq!((told.grant, told.units, told.held, told.state), (7, 0, 2, None));
    leases.pop();
    assert_eq!(process.take_told().map(|told| told.held), Some(1));
}

#[tokio::test]
async fn a_rest_is_told_until_it_ends_though_the_part_of_the_account_was_given_back() {
    let mut process = Process::with(&account().concurrency(4));
    process.task.time = Some(RedisTime::measure(None, 0, 0, 0));
    let row = ShareRow { units: 1, of: 4, grant: 7, ..ShareRow::default() };
    process.take(&row);
    process.leases(1).await.remove(0).rate_limited(Some(HOUR));
    process.task.take_changes(AT_ONCE);
    assert_eq!(process.task.rests().len(), 1);
    process.take(&ShareRow { units: 0, leaving: 1, step: 1, ..row });
    process.task.take_changes(AT_ONCE);
    assert_eq!(process.task.rests().len(), 1);
    process.clock.advance(HOUR * 2);
    assert_eq!(process.task.rests().len(), 0);
}

#[tokio::test]
async fn leases_that_end_after_an_account_was_removed_are_not_told_as_held() {
    let mut process = Process::with(&account().concurrency(4));
    let row = ShareRow { units: 4, of: 4, grant: 7, ..ShareRow::default() };
    process.take(&row);
    let leases = process.leases(3).await;
    process.task.accounts.rows.clear();
    process.task.take_account("ada");
    process.task.take_changes(AT_ONCE);
    drop(leases);
    process.task.take_changes(AT_ONCE);
    process.take(&ShareRow { units: 0, leaving: 4, step: 1, ..row });
    assert_eq!(process.take_told().map(|told| told.held), Some(0));
}

/// Lets a process hear that Redis was lost, and that its time is up.
fn lose_redis(process: &mut Process) {
    process.task.note_losses("first", false);
    process.task.give_all_up();
    process.task.take_changes(AT_ONCE);
}

#[tokio::test]
async fn leases_of_a_part_are_told_to_a_redis_that_came_back_empty_and_those_that_have_ended_meanwhile_are_not() {
    let mut process = Process::with(&account().concurrency(4));
    process.take(&ShareRow { units: 2, of: 4, grant: 7, ..ShareRow::default() });
    let mut leases = process.leases(2).await;
    lose_redis(&mut process);
    leases.pop();
    process.task.take_changes(AT_ONCE);
    process.task.note_losses("second", false);
    let told = process.take_told().unwrap();
    assert_eq!((told.grant, told.units, told.held, told.state), (7, 0, 1, None));
    leases.pop();
    assert_eq!(process.take_told().map(|told| told.held), Some(0));
}

#[tokio::test]
async fn leases_of_an_account_that_has_moved_are_told_to_a_redis_that_came_back_empty_and_to_no_other() {
    for (incarnation, held) in [("second", Some(3)), ("first", None)] {
        let mut process = Process::with(&account().concurrency(4));
        let row = ShareRow { units: 4, of: 4, grant: 7, ..ShareRow::default() };
        process.take(&row);
        let _leases = process.leases(3).await;
        process.take(&ShareRow { units: 0, leaving: 4, step: 1, ..row });
        assert_eq!(process.take_told().map(|told| told.held), Some(3));
        lose_redis(&mut process);
        process.task.note_losses(incarnation, false);
        assert_eq!(process.take_told().map(|told| told.held), held, "{incarnation}");
    }
}

#[tokio::test]
async fn what_was_to_be_read_is_read_again_after_redis_has_failed_on_the_way() {
    let mut process = Process::with(&account());
    process.task.news = News { accounts: true, shares: true, rests: false };
    assert!(process.task.sync().await.is_err(), "there is no Redis");
    assert!(process.task.news.accounts && process.task.news.shares);
    process.task.news.accounts = false;
    assert!(process.task.sync().await.is_err());
    assert!(process.task.news.shares);
}
