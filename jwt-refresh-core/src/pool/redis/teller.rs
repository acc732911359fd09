//! Asks Redis for leases, for all callers of a line at once: those that come while a question is on its way are in the next. A
//! lease is still one round trip, but many share it. The next question is sent before the answers to the last are handed out, so
//! that Redis and this process are at work at the same time.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use redis::Value;
use tokio::sync::oneshot;

use super::fleet::{Fleet, ended};
use super::place::failed;
use super::queue::Aim;
use super::scripts::LEASE;
use super::wire::{self, Answer};
use crate::error::Error;
use crate::provider::BoxFuture;

/// So many callers are in one question.
const BATCH: usize = 128;
/// So many questions are on their way at once: Redis is to have the next when it has answered one.
const FLIGHTS: usize = 2;
/// Fewer callers than that are in one question even if there is no other on its way.
const WORTH_SHARING: usize = 16;

#[derive(Default)]
pub(super) struct Teller {
    lines: Mutex<HashMap<Aim, Line>>,
}

/// Those who wait for an answer, or to be in a question.
#[derive(Default)]
struct Line {
    callers: VecDeque<Caller>,
    is_served: bool,
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

    /// Whether somebody has to begin to ask for it.
    fn join(&self, aim: &Aim, caller: Caller) -> bool {
        let mut lines = self.lines();
        if !lines.contains_key(aim) {
            lines.insert(aim.clone(), Line::default());
        }
        let Some(line) = lines.get_mut(aim) else { return false };
        line.callers.push_back(caller);
        !std::mem::replace(&mut line.is_served, true)
    }

    /// The callers of the next question, if they are to be shared among so many.
    fn next(&self, aim: &Aim, shares: usize) -> Vec<Caller> {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(aim) else { return Vec::new() };
        let shares = if line.callers.len() < WORTH_SHARING { 1 } else { shares };
        let most = line.callers.len().div_ceil(shares).min(BATCH);
        line.callers.drain(..most).collect()
    }

    /// Whether nobody is left, so that nobody serves the line any more.
    fn leave(&self, aim: &Aim) -> bool {
        let mut lines = self.lines();
        if lines.get(aim).is_some_and(|line| !line.callers.is_empty()) {
            return false;
        }
        lines.remove(aim);
        true
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

/// A question on its way, or its answer.
type Asking<'a> = Pin<Box<MaybeDone<BoxFuture<'a, (Vec<Caller>, Result<Vec<Answer>, Error>)>>>>;

impl Flight {
    async fn fly(mut self) {
        loop {
            self.ask_on().await;
            // Those who ask again at once are in the next question.
            tokio::task::yield_now().await;
            if self.fleet.teller.leave(&self.aim) {
                break;
            }
        }
        self.has_landed = true;
    }

    /// Asks for those who wait, and for those who come meanwhile, until nobody does.
    async fn ask_on(&self) {
        let mut asking = VecDeque::new();
        self.fill(&mut asking, 1).await;
        while let Some(mut first) = asking.pop_front() {
            first.as_mut().await;
            // First the next question, then the answers: whom they are for have much to do then.
            self.fill(&mut asking, 0).await;
            if let Some((callers, answers)) = first.as_mut().take_output() {
                self.deliver(callers, answers);
                tokio::task::yield_now().await;
            }
            self.fill(&mut asking, 0).await;
        }
    }

    /// Sends as many questions as may be on their way at once. Some callers are left for as many as are to be `kept` for later.
    async fn fill<'a>(&'a self, asking: &mut VecDeque<Asking<'a>>, kept: usize) {
        while asking.len() < FLIGHTS {
            let callers = self.fleet.teller.next(&self.aim, FLIGHTS - asking.len() + kept);
            if callers.is_empty() {
                return;
            }
            let mut question: Asking<'a> = Box::pin(maybe_done(Box::pin(self.ask(callers))));
            poll_fn(|context| Poll::Ready(question.as_mut().poll(context).is_ready())).await;
            asking.push_back(question);
        }
    }

    async fn ask(&self, callers: Vec<Caller>) -> (Vec<Caller>, Result<Vec<Answer>, Error>) {
        let answers = question(&self.fleet, &self.aim, &callers).await;
        (callers, answers)
    }

    fn deliver(&self, callers: Vec<Caller>, answers: Result<Vec<Answer>, Error>) {
        match answers {
            Ok(answers) => {
                for (caller, answer) in callers.into_iter().zip(answers) {
                    let parcel = Parcel { fleet: Arc::clone(&self.fleet), answer: Some(answer) };
                    let _ = caller.reply.send(Ok(parcel));
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
