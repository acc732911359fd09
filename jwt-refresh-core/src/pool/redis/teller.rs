//! Asks Redis for leases, for all callers of a line at once: those that come while a question is on its way are in the next. A
//! lease is still one round trip, but many share it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::oneshot;

use super::fleet::{Fleet, ended};
use super::outbox::Message;
use super::place::failed;
use super::queue::Aim;
use super::scripts::LEASE;
use super::wire::{self, Answer};
use crate::Error;

/// So many callers are in one question.
const BATCH: usize = 128;
/// So many questions of a line are on their way at once.
const FLIGHTS: usize = 2;

#[derive(Default)]
pub(super) struct Teller {
    lines: Mutex<HashMap<Aim, Line>>,
}

/// Those who wait for an answer, or to be in a question.
#[derive(Default)]
struct Line {
    callers: VecDeque<Caller>,
    flights: usize,
}

struct Caller {
    longest: Duration,
    reply: oneshot::Sender<Result<Answer, Error>>,
}

impl Teller {
    /// Asks for a lease that opens within `longest`.
    pub(super) async fn ask(fleet: &Arc<Fleet>, aim: &Aim, longest: Duration) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        if fleet.teller.join(aim, Caller { longest, reply }) {
            let flight = fly(Arc::clone(fleet), aim.clone());
            // A task of its own: a caller that goes away takes no one else's answer with it.
            fleet.runtime.spawn(flight);
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Whether there is another question to be begun for it.
    fn join(&self, aim: &Aim, caller: Caller) -> bool {
        let mut lines = self.lines();
        if !lines.contains_key(aim) {
            lines.insert(aim.clone(), Line::default());
        }
        let Some(line) = lines.get_mut(aim) else { return false };
        line.callers.push_back(caller);
        let more = line.flights < FLIGHTS;
        line.flights += usize::from(more);
        more
    }

    /// The callers of the next question; without any the flight has ended.
    fn next(&self, aim: &Aim) -> Option<Vec<Caller>> {
        let mut lines = self.lines();
        let line = lines.get_mut(aim)?;
        let most = line.callers.len().min(BATCH);
        let callers: Vec<_> = line.callers.drain(..most).collect();
        if callers.is_empty() {
            line.flights -= 1;
            if line.flights == 0 {
                lines.remove(aim);
            }
            return None;
        }
        Some(callers)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Aim, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until nobody is left.
async fn fly(fleet: Arc<Fleet>, aim: Aim) {
    while let Some(callers) = fleet.teller.next(&aim) {
        match question(&fleet, &aim, &callers).await {
            Ok(answers) => {
                for (caller, answer) in callers.into_iter().zip(answers) {
                    hand_over(&fleet, caller, answer);
                }
            }
            Err(error) => {
                for caller in callers {
                    let _ = caller.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn question(fleet: &Fleet, (suffix, place): &Aim, callers: &[Caller]) -> Result<Vec<Answer>, Error> {
    let keys = &fleet.place.keys;
    let line = keys.line(suffix);
    let waits: Vec<String> = callers.iter().map(|caller| caller.longest.as_micros().min(1 << 52).to_string()).collect();
    let mut arguments: Vec<&[u8]> = vec![keys.base.as_bytes(), place.as_bytes(), suffix.as_bytes()];
    arguments.extend(waits.iter().map(String::as_bytes));
    let answer: Value = fleet.link.run(&LEASE, &[&line, &keys.grants], &arguments).await.map_err(failed)?;
    let answers = wire::answers(answer).filter(|answers| answers.len() == callers.len());
    answers.ok_or_else(wire::strange)
}

/// What a caller that went away does not take is given back.
fn hand_over(fleet: &Fleet, caller: Caller, answer: Answer) {
    let Err(Ok(Answer::Granted(grant))) = caller.reply.send(Ok(answer)) else { return };
    let Ok(name) = str::from_utf8(&grant.name) else { return };
    let name: Arc<str> = name.into();
    if let Some(held) = grant.held {
        fleet.outbox.push(Message::release(&name, held));
    }
    fleet.outbox.push(Message::unused(&name, grant.from));
}
