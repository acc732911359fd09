use std::time::{Duration, SystemTime};

use super::*;
use crate::policy::Policy;
use crate::renewal::{Action, IssuedTokens, Outcome, RequestTimes};
use crate::session::outage::Finding;
use crate::session::pending::RenewalResult;
use crate::token::Tokens;

const SECOND: Duration = Duration::from_secs(1);

fn start() -> Moment {
    let wall = Timestamp::from(SystemTime::UNIX_EPOCH) + Duration::from_secs(1_800_000_000);
    Moment { wall, boot: Timestamp::from_nanos(0) }
}

fn policy() -> Policy {
    Policy::default()
}

/// Tokens of which the access token is another one for each sequence.
fn numbered_tokens(lifetime: u64, sequence: u64) -> Tokens {
    let refresh = tokens(lifetime).refresh().cloned();
    let tokens = Tokens::new(format!("access-{sequence}")).unwrap().expires_in(Duration::from_secs(lifetime));
    refresh.into_iter().fold(tokens, Tokens::refresh_token)
}

fn tokens(seconds: u64) -> Tokens {
    Tokens::new("access").unwrap().expires_in(Duration::from_secs(seconds))
}

/// Returns new tokens, with the sequence after the newest that `state` knows of.
fn outcome(state: &SessionState, tokens: Tokens, at: Moment) -> Outcome {
    let times = RequestTimes { sent: at, answered: at };
    Outcome::Renewed(IssuedTokens::issued(&policy(), tokens, times, None, state.next_sequence()).unwrap())
}

fn outage() -> Error {
    Error::new(ErrorKind::Unavailable, "down")
}

fn failure() -> Outcome {
    Outcome::failed(outage(), RefreshCredential::Valid("refresh".into()))
}

fn renew(state: &mut SessionState, tokens: Tokens, at: Moment) {
    let permit = state.begin(Plan::Renew).unwrap();
    let outcome = outcome(state, tokens, at);
    state.complete(permit.epoch, outcome, &policy(), at).unwrap().send();
}

/// Returns a session with a token of 100 s: the refresh-ahead window begins at about 90 s, the
/// leeway at 95 s, and the token expires at 100 s.
fn logged_in() -> SessionState {
    let mut state = SessionState::new();
    renew(&mut state, tokens(100).refresh_token("refresh"), start());
    state
}

fn after(seconds: u64) -> Moment {
    start() + SECOND * u32::try_from(seconds).unwrap()
}

/// Returns the moment `seconds` after the start, by a wall clock that was stepped by `step`
/// seconds.
fn at_wall_step(seconds: u64, step: i64) -> Moment {
    let Moment { wall, boot } = after(seconds);
    let by = SECOND * u32::try_from(step.unsigned_abs()).unwrap();
    Moment { wall: if step < 0 { wall - by } else { wall + by }, boot }
}

/// Returns the moment `seconds` after the start, by a wall clock that was set forward by ten hours.
fn stepped(seconds: u64) -> Moment {
    at_wall_step(seconds, 36_000)
}

/// Returns the result that the callers of a renewal that has ended get.
fn result(pending: PendingRenewal) -> RenewalResult {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(pending.result())
}

fn served(step: &NextStep) -> Option<u64> {
    match step {
        NextStep::Serve(token) => Some(token.generation()),
        _ => None,
    }
}

#[test]
fn a_new_session_has_to_renew_and_has_no_token_to_serve_meanwhile() {
    assert!(matches!(SessionState::new().next_step(start()), NextStep::Renew(None)));
}

#[test]
fn a_token_is_served_while_fresh_served_and_renewed_ahead_of_expiry_and_waited_for_when_due() {
    let state = logged_in();
    assert_eq!(served(&state.next_step(after(80))), Some(1));
    assert!(matches!(state.next_step(after(94)), NextStep::Renew(Some(_))));
    assert!(matches!(state.next_step(after(95)), NextStep::Renew(None)));
}

#[test]
fn no_renewal_begins_while_another_is_under_way() {
    let mut state = logged_in();
    let _permit = state.begin(Plan::Renew).unwrap();
    assert_eq!(served(&state.next_step(after(94))), Some(1));
    assert!(matches!(state.next_step(after(96)), NextStep::Wait(_)));
    assert!(state.begin(Plan::LogIn).is_err());
}

#[test]
fn a_failure_displaces_no_live_token_and_is_returned_after_the_token_has_expired() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    let pending = permit.pending.clone();
    let slow = policy().backoff(SECOND * 60, SECOND * 60);
    state.complete(permit.epoch, failure(), &slow, after(96)).unwrap().send();

    let renewed = result(pending);
    assert_eq!(renewed.token().unwrap().unwrap().generation(), 1, "a caller that waited gets the token that lives");
    assert_eq!(served(&state.next_step(after(99))), Some(1));
    let NextStep::Fail(error) = state.next_step(after(100)) else { panic!("served an expired token") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(matches!(state.next_step(after(96 + 60)), NextStep::Renew(None)), "the pause is over");
}

#[test]
fn the_fast_path_stays_open_during_a_renewal_or_a_pause_but_never_beyond_the_tokens_life() {
    let mut state = logged_in();
    assert!(after(91).reached(state.fast_path_until()));
    let permit = state.begin(Plan::Renew).unwrap();
    assert_eq!(state.fast_path_until(), after(95));
    state.complete(permit.epoch, failure(), &policy().backoff(SECOND * 60, SECOND * 60), after(92)).unwrap().send();
    assert_eq!(state.fast_path_until(), after(100));
}

#[test]
fn retry_after_lengthens_the_pause_up_to_the_policys_limit() {
    let mut state = SessionState::new();
    for (asked, paused) in [(120, 120), (86_400, 600)] {
        let permit = state.begin(Plan::Renew).unwrap();
        let error = outage().retry_in(Duration::from_secs(asked));
        state
            .complete(permit.epoch, Outcome::failed(error, RefreshCredential::None), &policy(), start())
            .unwrap()
            .send();
        assert!(matches!(state.next_step(after(paused - 1)), NextStep::Fail(_)));
        assert!(matches!(state.next_step(after(paused)), NextStep::Renew(None)));
    }
}

#[test]
fn pauses_double_up_to_the_longest() {
    let policy = policy().backoff(SECOND, SECOND * 8);
    for (failures, longest) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (4_000_000_000, 8)] {
        let pause = policy.pause(failures, None);
        let longest = SECOND * longest;
        assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
    }
}

#[test]
fn a_refresh_without_a_new_refresh_token_keeps_the_old_one_and_one_with_it_replaces_it() {
    let valid = |token: &str| RefreshCredential::Valid(token.into());
    let reusable = |token: &str| RefreshCredential::Reusable(token.into());
    for (brought, kept) in [(None, reusable("old")), (Some("old"), reusable("old")), (Some("new"), valid("new"))] {
        let mut answer = tokens(100);
        answer.refresh = brought.map(Into::into);
        let times = RequestTimes { sent: start(), answered: start() };
        let issued = IssuedTokens::issued(&policy(), answer, times, Some("old".into()), 1).unwrap();
        assert_eq!(issued.credential, kept);
    }
}

#[test]
fn an_access_token_that_is_issued_expired_is_an_error_but_its_refresh_token_is_kept() {
    let times = RequestTimes { sent: start(), answered: start() };
    let issued = IssuedTokens::issued(&policy(), tokens(0).refresh_token("new"), times, None, 1);
    let (error, credential) = issued.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
    assert_eq!(credential, RefreshCredential::Valid("new".into()));
}

#[test]
fn rejections_do_not_shorten_the_pause_that_a_server_asked_for() {
    let mut state = logged_in();
    for generation in 1..5 {
        state.reject(generation, 0, &policy(), start());
        renew(&mut state, tokens(100), start());
    }
    let permit = state.begin(Plan::Renew).unwrap();
    let error = outage().retry_in(Duration::from_secs(120));
    state.complete(permit.epoch, Outcome::failed(error, RefreshCredential::None), &policy(), start()).unwrap().send();
    state.reject(5, 0, &policy(), start());
    assert!(matches!(state.next_step(after(119)), NextStep::Fail(error) if error.kind() == ErrorKind::Unavailable));
}

#[test]
fn a_pause_ends_even_if_the_wall_clock_was_set_back() {
    let mut state = SessionState::new();
    let permit = state.begin(Plan::Renew).unwrap();
    state
        .complete(permit.epoch, Outcome::failed(outage(), RefreshCredential::None), &policy(), start())
        .unwrap()
        .send();
    let later = Moment { wall: start().wall - SECOND * 3600, boot: after(60).boot };
    assert!(matches!(state.next_step(later), NextStep::Renew(None)));
}

#[test]
fn a_newer_token_from_the_store_is_taken_and_an_older_one_is_not() {
    let mut state = logged_in();
    let of = |sequence| IssuedTokens::captured(&policy(), numbered_tokens(100, sequence), start(), sequence);
    assert!(!state.follow(of(1), start()));
    assert!(state.follow(of(5), start()));
    assert_eq!((state.generation(), state.sequence()), (2, 5));
    let permit = state.begin(Plan::Renew).unwrap();
    assert!(state.follow(of(6), start()), "while a renewal waits for its turn");
    state.complete(permit.epoch, Outcome::Renewed(of(6)), &policy(), start()).unwrap().send();
    assert_eq!(state.generation(), 3, "the renewal finds the same token, and does not count it twice");
    state.log_out();
    assert!(!state.follow(of(9), start()), "logout wins");
}

#[test]
fn the_rejection_of_an_older_token_changes_nothing() {
    let mut state = logged_in();
    renew(&mut state, tokens(100), start());
    state.reject(1, 0, &policy(), start());
    assert_eq!(served(&state.next_step(start())), Some(2));
    state.reject(2, 0, &policy(), start());
    assert!(matches!(state.next_step(start()), NextStep::Renew(None)));
}

#[test]
fn repeated_rejections_end_in_an_error_that_says_so_until_the_window_has_passed() {
    let mut state = logged_in();
    for generation in 1..5 {
        state.reject(generation, 0, &policy(), start());
        state.reject(generation, 0, &policy(), start());
        renew(&mut state, tokens(100), start());
    }
    state.reject(5, 0, &policy(), after(1));
    let NextStep::Fail(error) = state.next_step(after(29)) else { panic!("went on renewing") };
    assert_eq!(error.kind(), ErrorKind::RejectedAsIssued);
    assert!(matches!(state.next_step(after(30)), NextStep::Renew(None)));
}

#[test]
fn a_renewal_that_ends_after_a_logout_does_not_bring_the_session_back() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    let pending = permit.pending.clone();
    state.log_out();
    let outcome = outcome(&state, tokens(100), start());
    state.complete(permit.epoch, outcome, &policy(), start()).unwrap().send();
    assert!(matches!(state.next_step(start()), NextStep::Fail(error) if error.kind() == ErrorKind::LoggedOut));
    assert_eq!(state.fast_path_until(), Moment::LONG_AGO);
    assert_eq!(result(pending).success().unwrap_err().kind(), ErrorKind::LoggedOut);
}

#[test]
fn a_failed_login_leaves_the_access_token_and_the_refresh_token_as_they_were() {
    let mut state = logged_in();
    let permit = state.begin(Plan::LogIn).unwrap();
    let pending = permit.pending.clone();
    let credential = permit.basis.credential.clone();
    let error = Error::new(ErrorKind::ReauthenticationRequired, "wrong password");
    state.complete(permit.epoch, Outcome::failed(error, credential), &policy(), start()).unwrap().send();
    assert!(result(pending).success().is_err());
    assert_eq!(served(&state.next_step(start())), Some(1));
    assert!(matches!(state.next_step(after(100)), NextStep::Renew(None)), "it can still refresh");
}

#[test]
fn when_nothing_is_left_to_renew_with_the_token_is_served_until_it_expires_and_then_the_error() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    let error = Error::new(ErrorKind::ReauthenticationRequired, "over");
    state.complete(permit.epoch, Outcome::failed(error, RefreshCredential::None), &policy(), after(95)).unwrap().send();
    assert_eq!(served(&state.next_step(after(99))), Some(1));
    for later in [100, 100_000] {
        assert!(
            matches!(state.next_step(after(later)), NextStep::Fail(e) if e.kind() == ErrorKind::ReauthenticationRequired)
        );
    }
}

#[test]
fn a_token_that_must_not_be_served_after_a_failure_is_not_served_during_the_next_renewal() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    let failed = Outcome::Failed { error: outage(), credential: RefreshCredential::None, serving: Serving::Nothing };
    state.complete(permit.epoch, failed, &policy(), after(80)).unwrap().send();
    assert!(matches!(state.next_step(after(80)), NextStep::Fail(_)));
    assert!(matches!(state.next_step(after(81)), NextStep::Renew(None)), "the pause is over");

    let _permit = state.begin(Plan::Renew).unwrap();
    assert!(matches!(state.next_step(after(82)), NextStep::Wait(_)));
    assert!(state.longest_wait(after(82)).is_none());
    assert_eq!(state.fast_path_until(), Moment::LONG_AGO);
}

/// Returns a session in which one token fewer was rejected as soon as it was issued than makes it
/// pause. Its token is of generation 5.
fn nearly_pausing() -> SessionState {
    let mut state = logged_in();
    for generation in 1..5 {
        state.reject(generation, 0, &policy(), start());
        renew(&mut state, tokens(100), start());
    }
    state
}

#[test]
fn the_rejection_of_a_token_that_has_served_counts_for_nothing() {
    for (served, rejected_at) in [(5, start()), (4, after(5)), (4, start() + 6 * SECOND)] {
        let mut state = nearly_pausing();
        state.reject(5, served, &policy(), rejected_at);
        assert!(matches!(state.next_step(rejected_at), NextStep::Renew(None)), "served {served} at {rejected_at:?}");
    }
    let mut state = nearly_pausing();
    state.reject(5, 4, &policy(), after(4));
    assert!(matches!(state.next_step(after(4)), NextStep::Fail(_)));
}

#[test]
fn a_short_token_has_served_after_a_fifth_of_its_life() {
    for (milliseconds, pauses) in [(599, true), (600, false)] {
        let mut state = nearly_pausing();
        renew(&mut state, tokens(3), start());
        let rejected_at = start() + Duration::from_millis(milliseconds);
        state.reject(6, 0, &policy(), rejected_at);
        assert_eq!(matches!(state.next_step(rejected_at), NextStep::Fail(_)), pauses, "{milliseconds} ms");
    }
}

#[test]
fn an_explicit_login_a_logout_and_an_adoption_clear_the_count_of_rejections() {
    let adopted = || IssuedTokens::captured(&policy(), tokens(100), start(), 9);
    let clear: [fn(&mut SessionState, IssuedTokens); 3] = [
        |state, _| state.forget_rejections(),
        |state, tokens| {
            state.log_out();
            state.adopt(tokens);
        },
        SessionState::adopt,
    ];
    for clear in clear {
        let mut state = nearly_pausing();
        clear(&mut state, adopted());
        state.reject(state.generation(), 0, &policy(), start());
        assert!(matches!(state.next_step(start()), NextStep::Renew(None)));
    }
}

#[test]
fn after_an_early_401_tokens_expire_a_second_earlier_until_the_next_good_life() {
    let expires = |state: &SessionState| state.token().unwrap().expires_at().unwrap();
    let mut state = logged_in();
    state.reject(1, 1, &policy(), after(99));
    renew(&mut state, tokens(100), after(99));
    assert_eq!(expires(&state), SystemTime::from(after(198).wall));
    // Replaced before its time, it has not shown that it lives.
    renew(&mut state, tokens(100), after(100));
    assert_eq!(expires(&state), SystemTime::from(after(199).wall));
    renew(&mut state, tokens(100), after(195));
    assert_eq!(expires(&state), SystemTime::from(after(295).wall));
}

#[test]
fn what_is_learnt_from_an_early_401_takes_at_most_a_tenth_of_a_life_and_nothing_of_an_endless_one() {
    let mut state = SessionState::new();
    renew(&mut state, tokens(3), start());
    state.reject(1, 1, &policy(), after(2));
    renew(&mut state, tokens(3), after(2));
    let expires = state.token().unwrap().expires_at().unwrap();
    assert_eq!(expires, SystemTime::from(after(2).wall) + Duration::from_millis(2700));
    state.reject(2, 2, &policy(), after(4));
    renew(&mut state, Tokens::new("endless").unwrap(), after(4));
    assert_eq!(state.token().unwrap().expires_at(), None);
}

#[test]
fn a_401_while_the_token_is_renewed_says_nothing_of_how_long_tokens_live() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    state.reject(1, 1, &policy(), after(92));
    let outcome = outcome(&state, tokens(100), after(92));
    state.complete(permit.epoch, outcome, &policy(), after(92)).unwrap().send();
    assert_eq!(state.token().unwrap().expires_at().unwrap(), SystemTime::from(after(192).wall));
}

/// How the requests of an outage came, while callers asked every 10 ms.
struct Requests {
    /// When each was sent, in seconds since the first.
    at: Vec<f64>,
    logins: usize,
}

impl Requests {
    fn until(&self, seconds: f64) -> usize {
        self.at.iter().filter(|&&at| at <= seconds).count()
    }

    /// Asserts that whenever the server comes back after the first `from` seconds, the next request
    /// comes `within` that time, which is given how long the outage has lasted.
    fn assert_soon(&self, from: f64, to: f64, within: impl Fn(f64) -> f64) {
        for pair in self.at.windows(2).filter(|pair| pair[0] >= from && pair[0] < to) {
            assert!(pair[1] - pair[0] <= within(pair[0]), "{} s after {} s", pair[1] - pair[0], pair[0]);
        }
    }
}

/// Lets callers ask during an outage. `renew` ends each renewal.
fn suffer(
    state: &mut SessionState,
    seconds: u32,
    renew: impl Fn(&mut SessionState, RenewalPermit, Moment),
) -> Requests {
    let mut requests = Requests { at: Vec::new(), logins: 0 };
    let begun = start();
    for step in 0..seconds * 100 {
        let now = begun + Duration::from_millis(10) * step;
        let permit = match state.next_step(now) {
            NextStep::Renew(None) => state.begin(Plan::Renew).unwrap(),
            NextStep::RenewEarly => state.begin_early().unwrap(),
            NextStep::Fail(_) => continue,
            other => panic!("{other:?}"),
        };
        let is_login = permit.condition == Condition::None && permit.basis.credential.token().is_none();
        requests.logins += usize::from(is_login);
        requests.at.push(f64::from(step) / 100.0);
        renew(state, permit, now);
    }
    requests
}

fn fail(state: &mut SessionState, permit: &RenewalPermit, error: Error, now: Moment) {
    let outcome = Outcome::failed(error, permit.basis.credential.clone());
    state.complete(permit.epoch, outcome, &policy(), now).unwrap().send();
}

/// Returns a session with a refresh token and no access token.
fn refreshable() -> SessionState {
    let mut state = SessionState::new();
    state.adopt(IssuedTokens::captured(&policy(), tokens(0).refresh_token("refresh"), start(), 1));
    state
}

#[test]
fn while_callers_have_no_token_a_refresh_is_tried_often_enough_to_end_an_outage_soon() {
    let requests = suffer(&mut refreshable(), 3600, |state, permit, now| fail(state, &permit, outage(), now));
    requests.assert_soon(0.0, 30.0, |_| 0.8);
    requests.assert_soon(30.0, 3600.0, |outage| (outage * 0.1).min(10.0));
    assert!(requests.until(30.0) <= 56, "{}", requests.until(30.0));
    assert!(requests.until(600.0) <= 150, "{}", requests.until(600.0));
    assert!(requests.until(3600.0) <= 600, "{}", requests.until(3600.0));
}

#[test]
fn a_password_is_sent_only_as_often_as_the_pauses_allow_unless_the_server_was_seen_to_come_back() {
    let mut state = SessionState::new();
    let requests = suffer(&mut state, 600, |state, permit, now| {
        if permit.condition == Condition::None {
            return fail(state, &permit, outage(), now);
        }
        state.give_up_early(permit.epoch, Finding::StillDown(None), &policy(), now).unwrap().send();
    });
    assert!((12..=26).contains(&requests.logins), "{}", requests.logins);
    requests.assert_soon(0.0, 30.0, |_| 0.8);
    requests.assert_soon(30.0, 600.0, |outage| (outage * 0.1).min(10.0));
    assert!(requests.until(600.0) <= 150 + 26, "{}", requests.until(600.0));
}

#[test]
fn a_server_that_seems_to_be_back_again_and_again_is_sent_few_passwords_more() {
    let mut state = SessionState::new();
    let mut early = 0;
    for step in 0..60_000 {
        let now = start() + Duration::from_millis(10) * step;
        let permit = match state.next_step(now) {
            NextStep::Renew(None) => state.begin(Plan::Renew).unwrap(),
            NextStep::RenewEarly => {
                early += 1;
                state.begin_early().unwrap()
            }
            _ => continue,
        };
        state.advance(permit.epoch, Step::Sending(Action::Login), SECOND);
        fail(&mut state, &permit, Error::new(ErrorKind::Unreachable, "flapping"), now);
    }
    assert_eq!(early, 5);
}

#[test]
fn what_a_probe_says_decides_whether_a_password_may_be_sent() {
    let back = |was_down| Condition::IsBack { was_down };
    let (none, valid) = (RefreshCredential::None, RefreshCredential::Valid("r".into()));
    let in_doubt = RefreshCredential::InDoubt("r".into());
    let (answers, fails) = (Ok(()), Err(outage().retry_in(SECOND)));
    let down = Finding::StillDown(Some(SECOND));
    for (condition, answer, credential, finding) in [
        (back(true), Some(&answers), &none, Finding::Met),
        (back(true), Some(&answers), &in_doubt, Finding::Met),
        (back(true), Some(&fails), &none, down),
        (back(true), Some(&fails), &valid, down),
        // It answered all the time, and yet the login failed.
        (back(false), Some(&answers), &none, Finding::Unknown),
        (back(false), Some(&fails), &in_doubt, down),
        (back(true), None, &none, Finding::Unknown),
        (back(true), None, &valid, Finding::Met),
        (Condition::None, None, &none, Finding::Met),
    ] {
        assert_eq!(condition.finding(answer, credential), finding, "{condition:?} {answer:?} {credential:?}");
    }
}

#[test]
fn nothing_is_tried_early_while_a_token_lives() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    state.complete(permit.epoch, failure(), &policy().backoff(SECOND, SECOND * 60), after(91)).unwrap().send();
    assert_eq!(served(&state.next_step(start() + Duration::from_millis(91_400))), Some(1));
    let permit = state.begin(Plan::Renew).unwrap();
    let slow = policy().backoff(SECOND / 2, SECOND * 60);
    state.failures = 20;
    state.complete(permit.epoch, failure(), &slow, after(92)).unwrap().send();
    assert_eq!(served(&state.next_step(after(99))), Some(1));
    assert_eq!(state.wake_at(after(99)), after(100));
    assert!(matches!(state.next_step(after(100)), NextStep::RenewEarly), "it has expired");
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_asked_neither_early_nor_by_an_explicit_login() {
    let mut state = refreshable();
    let permit = state.begin(Plan::Renew).unwrap();
    fail(&mut state, &permit, outage().retry_in(SECOND * 20), start());
    for seconds in 1..20 {
        assert!(matches!(state.next_step(after(seconds)), NextStep::Fail(_)), "{seconds}");
        let refused = state.refused_renewal(Plan::LogIn, after(seconds)).expect("an error");
        assert_eq!(refused.retry_after(), Some(SECOND * (20 - u32::try_from(seconds).unwrap())));
    }
    assert!(state.refused_renewal(Plan::LogIn, after(20)).is_none());
    assert!(matches!(state.next_step(after(20)), NextStep::Renew(None)));

    // A shorter wait that it asks for later does not end a longer one.
    for (asked, at) in [(60, 20), (1, 21)] {
        let permit = state.begin(Plan::LogIn).unwrap();
        fail(&mut state, &permit, outage().retry_in(SECOND * asked), after(at));
    }
    assert!(state.refused_renewal(Plan::LogIn, after(79)).is_some());
    assert!(state.refused_renewal(Plan::LogIn, after(80)).is_none());
}

#[test]
fn a_probe_that_is_asked_to_wait_waits() {
    let mut state = SessionState::new();
    let permit = state.begin(Plan::Renew).unwrap();
    fail(&mut state, &permit, outage(), start());
    state.failures = 20;
    let permit = state.begin_early().unwrap();
    state.give_up_early(permit.epoch, Finding::StillDown(Some(SECOND * 20)), &policy(), after(1)).unwrap().send();
    assert!(matches!(state.next_step(after(20)), NextStep::Fail(_)));
    assert!(state.refused_renewal(Plan::LogIn, after(20)).is_some());
    assert!(!matches!(state.next_step(after(21)), NextStep::Fail(_)));
}

#[test]
fn a_server_that_is_asked_too_often_is_not_asked_early() {
    let mut state = refreshable();
    let busy = outage().answered(http::StatusCode::TOO_MANY_REQUESTS);
    state.failures = 20;
    let permit = state.begin(Plan::Renew).unwrap();
    fail(&mut state, &permit, busy, start());
    assert!(matches!(state.next_step(after(29)), NextStep::Fail(_)));
}

#[test]
fn an_outage_that_nobody_noticed_for_a_while_counts_as_a_new_one() {
    let mut state = refreshable();
    for (begins, ends) in [(0, 600), (10_000, 10_020)] {
        for seconds in begins..ends {
            if !matches!(state.next_step(after(seconds)), NextStep::Fail(_)) {
                let permit = state.begin(Plan::Renew).unwrap();
                fail(&mut state, &permit, outage(), after(seconds));
            }
        }
    }
    assert!(!matches!(state.next_step(after(10_021)), NextStep::Fail(_)));
}

#[test]
fn the_end_of_a_login_is_told_once_five_minutes_ahead_or_at_half_of_a_short_one() {
    for (lives, told_at) in [(3600, 3300), (600, 300), (60, 30)] {
        let mut state = SessionState::new();
        let ending = tokens(10).refresh_token("r").refresh_expires_in(Duration::from_secs(lives));
        renew(&mut state, ending, start());
        assert_eq!(state.take_login_end(after(told_at - 1)), None);
        assert_eq!(state.wake_after(after(told_at - 1)).boot, after(told_at).boot, "though the token is due");
        assert_eq!(state.take_login_end(after(told_at)), Some(after(lives).wall.into()));
        assert_eq!(state.take_login_end(after(lives)), None);
    }
    let mut state = SessionState::new();
    renew(&mut state, tokens(10).refresh_token("offline").refresh_expires_in(Duration::ZERO), start());
    assert_eq!(state.take_login_end(after(3600)), None, "0 s means that it does not expire");
}

#[test]
fn a_wall_clock_that_is_set_forward_ends_no_pause() {
    let asked = |state: &mut SessionState| {
        let permit = state.begin(Plan::Renew).unwrap();
        fail(state, &permit, outage().retry_in(SECOND * 20), start());
        assert!(state.refused_renewal(Plan::LogIn, stepped(19)).is_some());
        assert!(state.refused_renewal(Plan::LogIn, stepped(20)).is_none());
    };
    let failed = |state: &mut SessionState| {
        state.failures = 1000;
        let permit = state.begin(Plan::Renew).unwrap();
        // Such a server is not asked early.
        let error = Error::new(ErrorKind::Unavailable, "slow down").coded("slow_down");
        let fixed = policy().backoff(SECOND * 40, SECOND * 40);
        state.complete(permit.epoch, Outcome::failed(error, state.credential.clone()), &fixed, start()).unwrap().send();
    };
    let rejected = |state: &mut SessionState| {
        *state = nearly_pausing();
        state.reject(5, 4, &policy(), stepped(4));
    };
    let check = |pause: &str, begin: &dyn Fn(&mut SessionState)| {
        let mut state = refreshable();
        begin(&mut state);
        assert!(matches!(state.next_step(stepped(19)), NextStep::Fail(_)), "the pause {pause} ends");
        assert!(matches!(state.next_step(stepped(60)), NextStep::Renew(_)), "the pause {pause} does not end");
    };
    check("that was asked for", &asked);
    check("after a failure", &failed);
    check("after rejections", &rejected);
}

#[test]
fn an_outage_is_as_long_as_the_time_since_boot_says() {
    for step in [-3600, 3600] {
        let mut outage = Outage::new();
        let error = Error::new(ErrorKind::Unreachable, "down");
        outage.note_failure(&error, None, &policy(), start());
        // After a minute, the pauses are longer than at first.
        let now = at_wall_step(60, step);
        let next = outage.still_down(None, &policy(), now).at.since(now.boot);
        assert!(next >= SECOND * 4, "{next:?} after a step of {step} s");
        outage.note_failure(&error, Some(now.boot), &policy(), at_wall_step(61, step));
        let next = outage.still_down(None, &policy(), now).at.since(now.boot);
        assert!(next >= SECOND * 4, "a step of {step} s begins another outage");
    }
}

#[test]
fn a_wall_clock_that_is_set_forward_has_the_end_of_a_login_told_in_time_and_right() {
    let mut state = SessionState::new();
    renew(&mut state, tokens(10).refresh_token("r").refresh_expires_in(SECOND * 3600), start());
    assert_eq!(state.take_login_end(stepped(3299)), None);
    assert_eq!(state.take_login_end(stepped(3300)), Some(stepped(3600).wall.into()));
}

#[test]
fn what_is_known_of_a_refresh_token_is_kept_until_it_is_replaced() {
    let mut state = SessionState::new();
    let refreshed = |state: &mut SessionState, new: Option<&str>| {
        let permit = state.begin(Plan::Renew).unwrap();
        let answer = new.into_iter().fold(tokens(10), Tokens::refresh_token);
        let times = RequestTimes { sent: after(10), answered: after(10) };
        let issued = IssuedTokens::issued(&policy(), answer, times, Some("r".into()), state.next_sequence()).unwrap();
        state.complete(permit.epoch, Outcome::Renewed(issued), &policy(), after(10)).unwrap().send();
    };
    renew(&mut state, tokens(10).refresh_token("r").refresh_expires_in(SECOND * 600), start());
    refreshed(&mut state, None);
    assert_eq!(state.tell_login_end_at().boot, after(300).boot);
    refreshed(&mut state, Some("another"));
    assert_eq!(state.tell_login_end_at(), Moment::NEVER);
    renew(&mut state, tokens(10).refresh_token("r").refresh_expires_in(SECOND * 600), start());
    state.log_out();
    assert_eq!(state.tell_login_end_at(), Moment::NEVER);
}

#[test]
fn a_login_that_brought_a_refresh_token_and_no_living_access_token_needs_no_person() {
    let mut state = logged_in();
    let end = |state: &mut SessionState, plan, kind, credential| {
        let permit = state.begin(plan).unwrap();
        let outcome = Outcome::failed(Error::new(kind, "no token"), credential);
        state.complete(permit.epoch, outcome, &policy(), after(100)).unwrap().send();
    };
    end(&mut state, Plan::Renew, ErrorKind::ReauthenticationRequired, RefreshCredential::None);
    assert!(matches!(state.next_step(after(3600)), NextStep::Fail(_)));
    end(&mut state, Plan::LogIn, ErrorKind::BadAnswer, RefreshCredential::Valid("refresh".into()));
    assert!(matches!(state.next_step(after(3600)), NextStep::Renew(None)));
}

#[test]
fn a_token_that_was_rejected_while_a_renewal_found_it_in_the_store_is_not_served_again() {
    let mut state = logged_in();
    let of = |sequence| IssuedTokens::captured(&policy(), numbered_tokens(100, sequence), start(), sequence);
    let permit = state.begin(Plan::Renew).unwrap();
    assert!(state.follow(of(5), start()));
    state.reject(state.generation(), 0, &policy(), start());
    let pending = permit.pending.clone();
    state.complete(permit.epoch, Outcome::Found(of(5)), &policy(), start()).unwrap().send();
    assert!(result(pending).token().is_none(), "the caller has to look again");
    assert!(matches!(state.next_step(start()), NextStep::Renew(None)));
}

#[test]
fn a_store_that_forgets_puts_in_doubt_what_other_processes_may_have_spent_and_nothing_else() {
    let outcome_of = |unsaved: bool| {
        let mut state = SessionState::new();
        let permit = state.begin(Plan::Renew).unwrap();
        let issued = IssuedTokens::captured(&policy(), tokens(100).refresh_token("r"), start(), 5);
        let outcome = if unsaved { Outcome::Unsaved(issued) } else { Outcome::Renewed(issued) };
        state.complete(permit.epoch, outcome, &policy(), start()).unwrap().send();
        state
    };
    let mut state = outcome_of(false);
    state.doubt(6);
    assert!(state.credential().is_valid(), "another process has mended the store");
    state.doubt(5);
    assert!(!state.credential().is_valid());

    let mut state = outcome_of(true);
    state.doubt(0);
    assert!(state.credential().is_valid(), "no other process knows what was never saved");
    state.renumber(5, 7);
    state.doubt(0);
    assert!(!state.credential().is_valid());
}

#[test]
fn what_a_renewal_found_displaces_nothing_newer_that_was_followed_meanwhile() {
    let mut state = logged_in();
    let of = |sequence, refresh: &str| {
        let times = RequestTimes { sent: start(), answered: start() };
        IssuedTokens::issued(&policy(), numbered_tokens(100, sequence).refresh_token(refresh), times, None, sequence)
            .unwrap()
    };
    let permit = state.begin(Plan::Renew).unwrap();
    assert!(state.follow(of(5, "new"), start()));
    state.complete(permit.epoch, Outcome::Found(of(4, "old")), &policy(), start()).unwrap().send();
    assert_eq!(state.sequence(), 5);
    assert_eq!(*state.credential(), RefreshCredential::Valid("new".into()));
}

#[test]
fn a_renewal_that_is_cut_off_while_it_saves_has_spent_the_refresh_token() {
    for cause in [CutOff::RuntimeEnded, CutOff::Overdue, CutOff::Panic] {
        let mut state = SessionState::new();
        renew(&mut state, tokens(10).refresh_token("r"), start());
        let permit = state.begin(Plan::Renew).unwrap();
        for step in [Step::Store, Step::Sending(Action::Refresh), Step::Store] {
            assert!(state.advance(permit.epoch, step, SECOND));
        }
        state.cut_off(permit.epoch, cause, &policy(), after(10)).unwrap().send();
        assert_eq!(*state.credential(), RefreshCredential::InDoubt("r".into()), "{cause:?}");
    }
}

#[test]
fn a_failure_does_not_make_sound_what_came_to_be_in_doubt_meanwhile() {
    let mut state = SessionState::new();
    renew(&mut state, tokens(10).refresh_token("r"), start());
    let permit = state.begin(Plan::Renew).unwrap();
    state.doubt(0);
    let error = Error::new(ErrorKind::Store, "the token store failed");
    let failed = Outcome::failed(error, RefreshCredential::Valid("r".into()));
    state.complete(permit.epoch, failed, &policy(), after(10)).unwrap().send();
    assert_eq!(*state.credential(), RefreshCredential::InDoubt("r".into()));
}

#[test]
fn a_renewal_that_brings_a_token_is_not_answered_with_another_that_has_its_number_in_the_store() {
    let mut state = SessionState::new();
    let permit = state.begin(Plan::Renew).unwrap();
    let of = |token: &str, refresh: &str, seconds| {
        let tokens = Tokens::new(token).unwrap().refresh_token(refresh).expires_in(SECOND * seconds);
        IssuedTokens::captured(&policy(), tokens, start(), 2)
    };
    assert!(state.follow(of("theirs", "r1", 1), after(10)));
    let pending = permit.pending.clone();
    state.complete(permit.epoch, Outcome::Unsaved(of("ours", "r2", 100)), &policy(), after(10)).unwrap().send();
    assert_eq!(result(pending).token().unwrap().unwrap().expose(), "ours");
    assert_eq!(state.token().unwrap().expose(), "ours");
    assert_eq!(state.credential(), &RefreshCredential::Valid("r2".into()));
}

#[test]
fn tokens_that_were_given_up_are_replaced_by_those_of_the_same_sequence_in_the_store() {
    let mut state = SessionState::new();
    let of = |token: &str, sequence| {
        let tokens = Tokens::new(token).unwrap().expires_in(SECOND * 100);
        IssuedTokens::captured(&policy(), tokens, start(), sequence)
    };
    let permit = state.begin(Plan::Renew).unwrap();
    state.complete(permit.epoch, Outcome::Unsaved(of("own", 6)), &policy(), start()).unwrap().send();
    assert!(state.replace(6, of("other", 6)));
    assert_eq!((state.token().unwrap().expose(), state.sequence()), ("other", 6));
    assert!(!state.replace(5, of("older", 7)), "others have come since");
}

#[test]
fn a_token_that_dies_while_a_renewal_that_found_it_ends_is_not_served() {
    let mut state = logged_in();
    let permit = state.begin(Plan::Renew).unwrap();
    let found = IssuedTokens::captured(&policy(), tokens(100), start(), 5);
    let pending = permit.pending.clone();
    state.complete(permit.epoch, Outcome::Found(found), &policy(), after(100)).unwrap().send();
    assert!(result(pending).token().is_none(), "the caller has to look again");
    assert!(matches!(state.next_step(after(100)), NextStep::Renew(None)));
}

#[test]
fn a_refresh_for_another_access_token_elsewhere_leaves_the_own_one_as_it_is_also_if_it_was_rejected() {
    let mut state = logged_in();
    let own = state.token().unwrap();
    let of = |sequence| IssuedTokens {
        token: own.clone(),
        ..IssuedTokens::captured(
            &policy(),
            tokens(100).refresh_token("next").refresh_expires_in(SECOND * 600),
            start(),
            sequence,
        )
    };
    state.reject(state.generation(), 0, &policy(), start());
    assert!(!state.follow(of(5), start()));
    assert_eq!((state.sequence(), state.credential().clone()), (5, RefreshCredential::Valid("next".into())));
    assert!(state.servable_token(start()).is_none(), "the rejected token does not come back");
    assert!(state.take_login_end(after(301)).is_some(), "of the new refresh token");
    assert_eq!(state.generation(), own.generation());
}
