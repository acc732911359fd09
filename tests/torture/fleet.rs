//! The child processes, seen from the parent.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::caller::Tally;
use crate::child::{ORDERS, Orders, Said};
use crate::until;

pub(crate) struct Fleet {
    job: Job,
    alive: Vec<Member>,
    /// What those said that were killed.
    pub(crate) dead: Vec<Log>,
}

/// What each of the processes does: the test of this binary that it runs, and what is in the environment for it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    test: &'static str,
    variable: &'static str,
    orders: String,
}

impl Job {
    pub(crate) fn new(test: &'static str, variable: &'static str, orders: &impl Serialize) -> Self {
        Self { test, variable, orders: serde_json::to_string(orders).unwrap() }
    }
}

impl From<Orders> for Job {
    fn from(orders: Orders) -> Self {
        Self::new("child::follows_orders", ORDERS, &orders)
    }
}

/// What one process said, and when.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) process: u32,
    pub(crate) said: Vec<(Instant, Said)>,
}

struct Member {
    child: Child,
    said: Arc<Mutex<Vec<(Instant, Said)>>>,
    reader: JoinHandle<()>,
}

impl Fleet {
    pub(crate) fn start(size: usize, job: impl Into<Job>) -> Self {
        let job = job.into();
        let alive = (0..size).map(|_| Member::start(&job)).collect();
        Self { job, alive, dead: Vec::new() }
    }

    /// SIGKILL to one, and a new one in its place. The killed one's process id.
    pub(crate) fn kill(&mut self, number: usize) -> u32 {
        let killed = std::mem::replace(&mut self.alive[number], Member::start(&self.job));
        let log = killed.kill();
        let process = log.process;
        self.dead.push(log);
        process
    }

    /// What those have said that live.
    pub(crate) fn logs(&self) -> Vec<Log> {
        self.alive.iter().map(Member::log).collect()
    }

    /// Waits until each has said `what`, since `begun`.
    pub(crate) async fn all_have(&self, what: &str, begun: Instant, said: impl Fn(&Said) -> bool) {
        until(what, async || {
            self.logs().iter().all(|log| log.said.iter().any(|(at, what)| *at >= begun && said(what)))
        })
        .await;
    }

    /// Lets all end by themselves. What everybody ever said, and the sum of what those counted that were not killed.
    pub(crate) async fn stop(mut self) -> (Vec<Log>, Tally) {
        for member in &mut self.alive {
            drop(member.child.stdin.take());
        }
        let (mut logs, mut sum) = (std::mem::take(&mut self.dead), Tally::default());
        for mut member in self.alive.drain(..) {
            until("a process has ended", async || member.child.try_wait().unwrap().is_some()).await;
            let success = member.child.wait().unwrap().success();
            let log = member.ended();
            assert!(success, "a process failed, which said {log:?}");
            for (_, said) in &log.said {
                if let Said::Done(tally) = said {
                    sum.add(*tally);
                }
            }
            logs.push(log);
        }
        (logs, sum)
    }
}

impl Drop for Fleet {
    /// After a failure; otherwise nobody is left.
    fn drop(&mut self) {
        for mut member in self.alive.drain(..) {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

impl Member {
    fn start(job: &Job) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", job.test, "--nocapture"]);
        command.env(job.variable, &job.orders);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let hears = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test harness of the child has something to say, too, and a line may be cut by a kill.
                if let Ok(said) = serde_json::from_str(&line) {
                    hears.lock().unwrap().push((Instant::now(), said));
                }
            }
        });
        Self { child, said, reader }
    }

    fn log(&self) -> Log {
        Log { process: self.child.id(), said: self.said.lock().unwrap().clone() }
    }

    fn kill(mut self) -> Log {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.ended()
    }

    /// What it said to its end, which has come.
    fn ended(self) -> Log {
        let process = self.child.id();
        self.reader.join().unwrap();
        let said = self.said.lock().unwrap().clone();
        Log { process, said }
    }
}

/// The least time between two refreshes of a token that lives for `life`: the window in which it is refreshed ahead is the last
/// tenth of it, made longer by up to a fifth.
pub(crate) fn shortest_between(life: Duration) -> Duration {
    life.mul_f64(0.88)
}

/// Of all logs, every line of one kind.
pub(crate) fn all<'a, T>(logs: &'a [Log], pick: impl Fn(&'a Said) -> Option<T>) -> Vec<T> {
    logs.iter().flat_map(|log| &log.said).filter_map(|(_, said)| pick(said)).collect()
}

/// That no process said what none may ever say.
pub(crate) fn assert_sound(logs: &[Log]) {
    let lies = all(logs, |said| match said {
        Said::Warned(what) if what.contains("the store lies") => Some(what.clone()),
        Said::Resurrected => Some("a session came back after a logout".to_owned()),
        _ => None,
    });
    assert!(lies.is_empty(), "{lies:?}");
}
