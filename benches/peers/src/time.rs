//! CPU time for a call while the token is fresh.
//!
//! All contenders are measured in one process, in turn, in CPU time of the thread. The order
//! changes each round. A round in which the threads did not run at the same time is dropped and
//! repeated: one in which a thread had ended before another began, or in which a thread waited for
//! a core although there is one for each.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::task::unconstrained;

use crate::peer::{Calls, Peer};

/// How many rounds are wanted, and how many times that are tried.
const ROUNDS: usize = 41;
const TRIES: usize = 4;
/// How many if threads share cores, which takes longer.
const LONG_ROUNDS: usize = 21;
/// How long a thread works in a round if each has a core of its own, in nanoseconds.
const SHORT: f64 = 2e6;
/// And if threads share cores, which takes turns.
const LONG: f64 = 12e6;
/// How long the run is by which the number of calls is chosen.
const TRIAL: f64 = 3e5;
/// How much of a round a thread may wait for a core.
const WAITED: f64 = 0.2;

/// What is measured of a contender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Token,
    Header,
}

impl Want {
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Header => "header",
        }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns how long this thread has waited so far for a core.
fn waited_for_core() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What one thread did in a round.
struct Ran {
    /// CPU nanoseconds for a call.
    nanos: f64,
    start: Instant,
    end: Instant,
    waited: Duration,
}

impl Ran {
    fn took(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }
}

/// Whether the threads ran at the same time.
fn together(ran: &[Ran]) -> bool {
    let Some(first_end) = ran.iter().map(|ran| ran.end).min() else { return false };
    let Some(last_start) = ran.iter().map(|ran| ran.start).max() else { return false };
    let together = first_end.saturating_duration_since(last_start).as_secs_f64();
    if ran.len() > cores() {
        // They begin and end when it is their turn.
        return together > 0.4 * mean(ran, Ran::took);
    }
    let waited = ran.iter().any(|ran| ran.waited.as_secs_f64() > WAITED * ran.took());
    together > 0.7 * mean(ran, Ran::took) && !waited
}

#[expect(clippy::cast_precision_loss, reason = "a few threads")]
fn mean(ran: &[Ran], value: impl Fn(&Ran) -> f64) -> f64 {
    ran.iter().map(value).sum::<f64>() / ran.len() as f64
}

/// Returns how many calls take `time` nanoseconds, if each takes `each`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls")]
fn calls_in(time: f64, each: f64) -> u32 {
    (time / each.max(1.0)).max(20.0) as u32
}

pub struct Subject {
    pub name: &'static str,
    pub want: Want,
    peer: Arc<dyn Peer>,
}

impl Subject {
    pub fn new(name: &'static str, want: Want, peer: Arc<dyn Peer>) -> Self {
        Self { name, want, peer }
    }

    fn calls(&self, calls: u32) -> Calls<'_> {
        match self.want {
            Want::Token => self.peer.token(calls),
            Want::Header => self.peer.header(calls),
        }
    }

    /// Makes the calls on this thread, and returns the CPU nanoseconds that each took. A thread
    /// that has to wait for another one sleeps, as that of a runtime does that has no other task.
    /// The budget of a task would make the locks of tokio yield now and then, so there is none.
    fn run(&self, calls: u32, how: How<'_>) -> f64 {
        let work = self.calls(calls);
        how.runtime.block_on(unconstrained(async {
            let start = cpu_time();
            work.await;
            cpu_time().saturating_sub(start).as_secs_f64() * 1e9 / f64::from(calls)
        }))
    }

    /// Makes the calls on each of the threads at once.
    fn run_on(&self, calls: u32, how: How<'_>) -> Vec<Ran> {
        let barrier = Barrier::new(how.threads);
        let run = || {
            self.run(calls / 8 + 10, how);
            barrier.wait();
            let waited = waited_for_core();
            let start = Instant::now();
            let nanos = self.run(calls, how);
            let end = Instant::now();
            Ran { nanos, start, end, waited: waited_for_core().saturating_sub(waited) }
        };
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..how.threads).map(|_| scope.spawn(run)).collect();
            handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
        })
    }

    /// Returns how many calls a thread makes in a round.
    fn calls_in_round(&self, how: How<'_>) -> u32 {
        let first = mean(&self.run_on(500, how), |ran| ran.nanos);
        let each = mean(&self.run_on(calls_in(TRIAL, first), how), |ran| ran.nanos);
        calls_in(if how.shares_cores() { LONG } else { SHORT }, each)
    }
}

/// On what the calls are made.
#[derive(Clone, Copy)]
struct How<'a> {
    threads: usize,
    runtime: &'a Handle,
}

impl How<'_> {
    fn shares_cores(self) -> bool {
        self.threads > cores()
    }

    fn rounds(self) -> usize {
        if self.shares_cores() { LONG_ROUNDS } else { ROUNDS }
    }
}

pub struct Timing {
    pub name: &'static str,
    pub want: Want,
    pub threads: usize,
    /// CPU nanoseconds for a call.
    pub median: f64,
    pub rounds: usize,
    pub dropped: usize,
}

/// Measures each subject on `threads` threads at once.
pub fn measure(subjects: &[Subject], threads: usize, runtime: &Handle) -> Vec<Timing> {
    let how = How { threads, runtime };
    let calls: Vec<_> = subjects.iter().map(|subject| subject.calls_in_round(how)).collect();
    let mut samples = vec![Vec::new(); subjects.len()];
    let mut dropped = vec![0; subjects.len()];
    for round in 0..TRIES * how.rounds() {
        for turn in 0..subjects.len() {
            let which = (turn + round) % subjects.len();
            // Those that are complete go on, so that all are measured in turn.
            if samples.iter().all(|samples| samples.len() >= how.rounds()) {
                break;
            }
            let ran = subjects[which].run_on(calls[which], how);
            if together(&ran) {
                samples[which].push(mean(&ran, |ran| ran.nanos));
            } else {
                dropped[which] += 1;
            }
        }
    }
    let timing = |((subject, samples), dropped): ((&Subject, Vec<f64>), usize)| Timing {
        name: subject.name,
        want: subject.want,
        threads,
        rounds: samples.len(),
        median: median(samples),
        dropped,
    };
    subjects.iter().zip(samples).zip(dropped).map(timing).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
