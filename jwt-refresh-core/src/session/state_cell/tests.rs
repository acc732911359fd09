//! What a state cell does by the passing of time.

use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::renewal::RequestTimes;
use crate::token::Tokens;

/// Gets a token that lives for a minute.
fn renew(cell: &StateCell) {
    let Ok(Acquisition::Launch(permit, (), None)) = cell.acquire(|| Ok(())) else { panic!("a renewal begins") };
    let now = cell.clock.moment();
    let tokens = Tokens::new("t").unwrap().expires_in(Duration::from_secs(60)).refresh_token("r");
    let times = RequestTimes { sent: now, answered: now };
    let issued = IssuedTokens::issued(&cell.policy, tokens, times, None, permit.basis.sequence + 1).unwrap();
    cell.complete(permit.epoch, Outcome::Renewed(issued), drop).unwrap().notification.send();
}

#[test]
fn a_deadline_that_passes_while_the_one_before_is_handled_is_not_lost() {
    let clock = ManualClock::new();
    let cell = StateCell::new(Policy::default(), Clock::from(&clock));
    // A thread begins to handle a deadline, and stands still while there is a new token.
    let handled = cell.clock.moment();
    renew(&cell);
    let deadline = cell.timer.deadline();
    clock.advance(Duration::from_secs(55));
    assert!(cell.clock.moment().reached(deadline), "the token is to be renewed");
    cell.update_deadline(handled);
    assert_eq!(cell.timer.deadline(), deadline);
    // What was handled is not handled again.
    cell.update_deadline(cell.clock.moment());
    assert_eq!(cell.timer.deadline(), Moment::NEVER);
}
