//! Child processes, as their parent sees them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::caller::Calls;
use crate::child::Message;
#[cfg(feature = "redis")]
use crate::child::fleet::FleetOrders;
use crate::child::session::SessionOrders;
use crate::support::{Process, child_command, until};

/// The test of this binary that a child process runs, and its orders.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    test: &'static str,
    orders: String,
}

impl Job {
    fn new(test: &'static str, orders: &impl Serialize) -> Self {
        Self { test, orders: serde_json::to_string(orders).unwrap() }
    }
}

impl From<SessionOrders> for Job {
    fn from(orders: SessionOrders) -> Self {
        Self::new("child::session::follows_orders", &orders)
    }
}

#[cfg(feature = "redis")]
impl From<FleetOrders> for Job {
    fn from(orders: FleetOrders) -> Self {
        Self::new("child::fleet::follows_orders", &orders)
    }
}

/// What one process sent, and when.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) process: u32,
    pub(crate) messages: Vec<(Instant, Message)>,
}

/// Child processes that all have the same job.
pub(crate) struct Children {
    job: Job,
    running: Vec<Running>,
    /// What those sent that were killed.
    killed: Vec<Log>,
}

impl Children {
    pub(crate) fn start(count: usize, job: impl Into<Job>) -> Self {
        let job = job.into();
        let running = (0..count).map(|_| Running::start(&job)).collect();
        Self { job, running, killed: Vec::new() }
    }

    /// Kills one process, and starts another in its place.
    pub(crate) fn kill(&mut self, number: usize) {
        let killed = std::mem::replace(&mut self.running[number], Running::start(&self.job));
        self.killed.push(killed.kill());
    }

    /// Waits until each process that runs has sent such a message since `begun`.
    pub(crate) async fn until_all_sent(&self, what: &str, begun: Instant, is_it: impl Fn(&Message) -> bool) {
        let has_sent = |log: &Log| log.messages.iter().any(|(at, message)| *at >= begun && is_it(message));
        until(what, async || self.running.iter().all(|child| has_sent(&child.log()))).await;
    }

    /// Lets all processes end by themselves. Returns what all ever sent, and the sum of what those
    /// counted that were not killed.
    pub(crate) async fn stop(mut self) -> (Vec<Log>, Calls) {
        for child in &mut self.running {
            drop(child.process.stdin.take());
        }
        let (mut logs, mut sum) = (self.killed, Calls::default());
        for mut child in self.running {
            until("a process has ended", async || child.process.try_wait().unwrap().is_some()).await;
            let success = child.process.wait().unwrap().success();
            let log = child.ended();
            assert!(success, "a process failed, which sent {log:?}");
            for (_, message) in &log.messages {
                if let Message::Done(calls) = message {
                    sum.add(*calls);
                }
            }
            logs.push(log);
        }
        (logs, sum)
    }
}

/// What is done to the processes of a fleet.
#[cfg(feature = "redis")]
impl Children {
    /// Has all processes stand still, with their connections open.
    pub(crate) fn pause(&self) {
        self.running.iter().for_each(|child| child.process.pause());
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) {
        self.running.iter().for_each(|child| child.process.resume());
    }

    /// Kills all processes. Returns what they sent.
    pub(crate) fn kill_all(mut self) -> Vec<Log> {
        self.killed.extend(self.running.into_iter().map(Running::kill));
        self.killed
    }
}

struct Running {
    process: Process,
    messages: Arc<Mutex<Vec<(Instant, Message)>>>,
    reader: JoinHandle<()>,
}

impl Running {
    fn start(job: &Job) -> Self {
        let mut command = child_command(job.test, &job.orders);
        let mut process = Process::from(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let messages = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let received = Arc::clone(&messages);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Other lines are from the test harness of the child, or were cut by a kill.
                if let Ok(message) = serde_json::from_str(&line) {
                    received.lock().unwrap().push((Instant::now(), message));
                }
            }
        });
        Self { process, messages, reader }
    }

    fn log(&self) -> Log {
        Log { process: self.process.id(), messages: self.messages.lock().unwrap().clone() }
    }

    fn kill(mut self) -> Log {
        self.process.kill();
        self.ended()
    }

    /// What the process sent until its end, which has come.
    fn ended(self) -> Log {
        let process = self.process.id();
        self.reader.join().unwrap();
        let messages = self.messages.lock().unwrap().clone();
        Log { process, messages }
    }
}

/// The shortest time between two refreshes of tokens that live for `life`. The refresh-ahead window
/// is the last tenth of a life, made longer by up to a fifth.
pub(crate) fn shortest_between(life: Duration) -> Duration {
    life.mul_f64(0.88)
}

/// What `pick` returns of the messages of all processes.
pub(crate) fn all<'a, T>(logs: &'a [Log], pick: impl Fn(&'a Message) -> Option<T>) -> Vec<T> {
    logs.iter().flat_map(|log| &log.messages).filter_map(|(_, message)| pick(message)).collect()
}

/// How many answers came later than the tokens in them expired.
pub(crate) fn count_stale(logs: &[Log]) -> u64 {
    all(logs, |message| matches!(message, Message::Stale).then_some(())).len() as u64
}

/// The failures that processes sent.
pub(crate) fn failures(logs: &[Log]) -> Vec<&String> {
    all(logs, |message| if let Message::Failed(what) = message { Some(what) } else { None })
}

/// The warnings that processes sent.
pub(crate) fn warnings(logs: &[Log]) -> Vec<&String> {
    all(logs, |message| if let Message::Warned(what) = message { Some(what) } else { None })
}

/// Asserts that no session found its store tampered with, and none came back after a logout.
pub(crate) fn assert_sound(logs: &[Log]) {
    let tampered: Vec<_> =
        warnings(logs).into_iter().filter(|what| what.contains("the entry in the store cannot be read")).collect();
    assert!(tampered.is_empty(), "{tampered:?}");
    let resurrected = all(logs, |message| matches!(message, Message::Resurrected).then_some(()));
    assert!(resurrected.is_empty(), "a session came back after a logout");
}
