//! How callers wait in a process that no auth worker gives a share.

use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::pool::account::Account;
use crate::pool::fleet::place::Settings;
use crate::pool::share::{KnownState, Share, SuppliedToken};
use crate::pool::start::NoLogin;
use crate::token::AccessToken;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A process of a fleet with one account, of which it has no share.
fn process() -> (Arc<FleetMember>, ManualClock) {
    let clock = ManualClock::new();
    let place = Settings::new("redis://127.0.0.1:1", "catalog").place().unwrap();
    let pool = Pool::builder().clock(&clock).build().unwrap();
    pool.watch();
    pool.add_elsewhere(Account::new("ada", NoLogin).rate(1, HOUR)).unwrap();
    let (mut member, signals) = FleetMember::new(place, pool).unwrap();
    Arc::get_mut(&mut member).unwrap().clock = (&clock).into();
    signals.progress.send_replace(TaskProgress { joined: Some(Ok(())), reads: 0 });
    (member, clock)
}

type Caller = JoinHandle<Result<Lease, Error>>;

fn caller(member: &Arc<FleetMember>, within: Option<Duration>) -> Caller {
    let until = within.map_or(Moment::NEVER, |within| member.clock.moment() + within);
    tokio::spawn(Arc::clone(member).lease(LeaseTerms { tag: None, key: None, cost: 1, until }))
}

/// Lets a second pass in which no auth worker is seen to live.
async fn pass_second(member: &FleetMember, clock: &ManualClock) {
    member.auth_workers.0.lock().note(true, member.clock.moment().boot);
    clock.advance(SECOND);
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_caller_without_a_deadline_waits_a_minute_for_an_auth_worker_and_others_until_theirs() {
    let (member, clock) = process();
    let (waits, has_time) = (caller(&member, None), caller(&member, Some(SECOND * 300_000)));
    for second in 0..60 {
        assert!(!waits.is_finished(), "after {second} s");
        pass_second(&member, &clock).await;
    }
    let passes = async {
        while !waits.is_finished() {
            pass_second(&member, &clock).await;
        }
    };
    tokio::time::timeout(SECOND * 60, passes).await.expect("it waits for ever");
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("no auth worker of the fleet \"catalog\" lives"), "{error}");
    assert!(!has_time.is_finished(), "it has a deadline");
}

#[tokio::test]
async fn a_caller_that_this_process_can_serve_waits_for_that_without_an_auth_worker() {
    let (member, clock) = process();
    let share = Share { units: 1, of: 1, held_elsewhere: 0, late_cost: 0 };
    assert!(member.pool.grant_share("ada", share, &KnownState::Unused, 0));
    let (token, expires) = (AccessToken::new("token").unwrap(), member.clock.moment() + HOUR * 300);
    member.pool.supply("ada", SuppliedToken { token, sequence: 1, expires });
    drop(caller(&member, None).await.unwrap().unwrap());
    let waits = caller(&member, None);
    let looked = || member.auth_workers.0.lock().looked;
    let minute = member.clock.moment().boot + SECOND * 62;
    let passes = async {
        while !waits.is_finished() && looked().is_none_or(|looked| looked < minute) {
            pass_second(&member, &clock).await;
        }
    };
    tokio::time::timeout(SECOND * 60, passes).await.expect("nobody looks for an auth worker");
    assert!(!waits.is_finished(), "the next call may go in an hour");
    clock.advance(HOUR);
    drop(waits.await.unwrap().unwrap());
}
