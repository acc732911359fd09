//! Asks Redis for leases, for all callers of a line at once: those that come while a question is on its way are in the next. A
//! lease is still one round trip, but many share it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::oneshot;

use super::fleet::{Fleet, ended};
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
    reply: oneshot::Sender<Result<Parcel, Error>>,
}

/// An answer on its way to its caller. What a caller that went away does not take is given back.
struct Parcel {
    fleet: Arc<Fleet>,
    answer: Option<Answer>,
}

impl Parcel {
    fn opened(mut self) -> Option<Answer> {
        self.answer.take()
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(Answer::Granted(grant)) = &self.answer {
            self.fleet.give_back(grant);
        }
    }
}

impl Teller {
    /// Asks for a lease that opens within `longest`.
    pub(super) async fn ask(fleet: &Arc<Fleet>, aim: &Aim, longest: Duration) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        if fleet.teller.join(aim, Caller { longest, reply }) {
            let flight = Flight { fleet: Arc::clone(fleet), aim: aim.clone(), has_landed: false };
            // A task of its own: a caller that goes away takes no one else's answer with it.
            fleet.runtime.spawn(flight.fly());
        }
        let parcel = answer.await.ok().transpose()?;
        parcel.and_then(Parcel::opened).ok_or_else(ended)
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

    /// Sends away whoever waits: there is nobody to ask for them any more.
    fn close(&self, aim: &Aim) {
        let line = self.lines().remove(aim);
        drop(line);
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Aim, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that asks until nobody is left. Dropped before that, since its runtime has ended, it leaves nobody waiting.
struct Flight {
    fleet: Arc<Fleet>,
    aim: Aim,
    has_landed: bool,
}

impl Flight {
    async fn fly(mut self) {
        while let Some(callers) = self.fleet.teller.next(&self.aim) {
            match question(&self.fleet, &self.aim, &callers).await {
                Ok(answers) => self.deliver(callers, answers),
                Err(error) => {
                    for caller in callers {
                        let _ = caller.reply.send(Err(error.clone()));
                    }
                }
            }
        }
        self.has_landed = true;
    }

    fn deliver(&self, callers: Vec<Caller>, answers: Vec<Answer>) {
        for (caller, answer) in callers.into_iter().zip(answers) {
            let _ = caller.reply.send(Ok(Parcel { fleet: Arc::clone(&self.fleet), answer: Some(answer) }));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.has_landed {
            self.fleet.teller.close(&self.aim);
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
