//! What an auth worker makes of a change, without a Redis.

use super::*;
use crate::clock::Moment;
use crate::pool::account::Account;
use crate::pool::quarantine::Quarantine;
use crate::pool::share::SuppliedToken;
use crate::pool::start::NoLogin;
use crate::token::AccessToken;

/// What Redis' clock shows, in microseconds, when the worker's machine was booted.
const BOOT: u64 = 1_700_000_000_000_000;
const SECOND: u64 = 1_000_000;
const YEAR: u64 = 365 * 24 * 3600 * SECOND;

/// Redis' clock, as far as a worker knows it that waited for the answer for `micros` microseconds.
fn time(micros: i64) -> RedisTime {
    RedisTime::measure(None, BOOT, 0, 1000 * micros)
}

/// A token that expires so many seconds after boot.
fn token(sequence: u64, seconds: i64) -> SuppliedToken {
    let boot = Timestamp::from_nanos(seconds * 1_000_000_000);
    SuppliedToken { token: AccessToken::new("token").unwrap(), sequence, expires: Moment { wall: boot, boot } }
}

fn change(token: Option<SuppliedToken>, cause: Option<QuarantineCause>) -> AccountChange {
    AccountChange {
        name: "ada".to_owned(),
        token,
        quarantine: cause.map(|cause| Quarantine { cause, until: None, error: None }),
        wants: None,
        held: 0,
        late_cost: 0,
        is_short: false,
        is_removed: false,
    }
}

fn told(change: &AccountChange, before: Option<&Told>) -> Told {
    let definition = Definition::of(&Account::new("ada", NoLogin)).unwrap();
    Told::new(definition, change, before, time(0), BOOT)
}

/// Why the account cannot be used at a time, as its row says.
fn cause(told: &Told, at: u64) -> Option<QuarantineCause> {
    told.row.unavailable_at(at).map(|unavailable| unavailable.cause())
}

#[test]
fn an_account_serves_by_its_row_until_its_token_expires() {
    let row = told(&change(Some(token(7, 10)), None), None);
    let expires = BOOT + 10 * SECOND;
    assert_eq!((cause(&row, expires - 1), cause(&row, expires)), (None, Some(QuarantineCause::Expired)));
    let denied = told(&change(Some(token(7, 10)), Some(QuarantineCause::Denied)), None);
    assert_eq!([BOOT, expires].map(|at| cause(&denied, at)), [Some(QuarantineCause::Denied); 2]);
}

#[test]
fn a_token_that_never_expires_serves_for_ever() {
    let endless = SuppliedToken { expires: Moment::NEVER, ..token(7, 0) };
    assert_eq!(cause(&told(&change(Some(endless), None), None), BOOT + 100 * YEAR), None);
}

#[test]
fn an_account_that_has_no_token_yet_serves_nobody() {
    assert_eq!(cause(&told(&change(None, None), None), BOOT), Some(QuarantineCause::Joining));
}

#[test]
fn a_row_of_an_earlier_version_serves_for_as_long_as_its_worker_says_so() {
    let row = told(&change(Some(token(7, 10)), None), None).row;
    let mut json = serde_json::to_value(row).unwrap();
    json.as_object_mut().unwrap().remove("expires").unwrap();
    let row: AccountRow = serde_json::from_value(json).unwrap();
    assert_eq!(row.unavailable_at(BOOT + YEAR), None);
}

#[test]
fn a_worker_that_has_lost_its_token_goes_on_to_say_when_that_expires() {
    let before = told(&change(Some(token(7, 10)), None), None);
    let lost = told(&change(None, Some(QuarantineCause::Rejected)), Some(&before));
    assert_eq!((lost.sequence, lost.row.expires), (7, before.row.expires));
}

#[test]
fn a_row_is_told_again_with_a_new_token_and_not_because_a_clock_was_measured_again() {
    let before = told(&change(Some(token(7, 10)), None), None);
    let again =
        |change: &AccountChange| Told::new(before.row.definition.clone(), change, Some(&before), time(400), BOOT);
    let same = again(&change(Some(token(7, 10)), None));
    assert_ne!(same.row.expires, before.row.expires);
    assert!(same.is_old(&before));
    assert!(!again(&change(Some(token(8, 10)), None)).is_old(&before));
    assert!(!again(&change(Some(token(7, 10)), Some(QuarantineCause::Rejected))).is_old(&before));
    assert!(!same.is_old(&Told { is_outdated: true, ..before }), "it was not taken");
}
