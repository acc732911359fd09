//! Many walks of a kind, some at a time. Of those that break a promise, one is shortened and shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::history::Promise;
use crate::plan::{Kind, Setup, Step};
use crate::random::{Random, seed};
use crate::scale::{report, scale};
use crate::walk::{Report, walk};

/// A walk spends most of its time waiting for time-outs.
const AT_A_TIME: u64 = 24;
/// The number of failures after which nothing more is learnt.
const ENOUGH: u64 = 20;
/// How long a walk that fails is shortened.
const SHORTENING: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Sum {
    walks: u64,
    steps: usize,
    exchanges: usize,
    kills: usize,
    reuses: u32,
    failed: u64,
    /// Of each promise that was broken: how often, and the first walk that did, with its history.
    broken: BTreeMap<Promise, (u64, u64, String)>,
}

/// Takes walks of this kind, and panics with the histories of those that break a promise. On a busy
/// machine the short form takes fewer.
pub(crate) fn run(kind: Kind) {
    let (first, walks) = (seed(), scale(150, 2000));
    let until = Instant::now() + scale(Duration::from_secs(9), Duration::from_secs(900));
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while sum.lock().unwrap().failed < ENOUGH && Instant::now() < until {
                    let seed = next.fetch_add(1, Ordering::AcqRel);
                    if seed >= first + walks {
                        return;
                    }
                    let (setup, steps) = draw(kind, seed);
                    let report = go(&setup, &steps);
                    sum.lock().unwrap().add(seed, report, steps.len());
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    if !sum.broken.is_empty() {
        fail(kind, sum);
    }
    let Sum { walks, steps, exchanges, kills, reuses, .. } = sum;
    report(
        &format!("model server, {kind:?}"),
        "each promise in each walk",
        &format!(
            "{walks} walks from seed {first}, {steps} steps, {exchanges} exchanges, {kills} kills, {reuses} reuses"
        ),
    );
}

impl Sum {
    fn add(&mut self, seed: u64, report: Report, steps: usize) {
        self.walks += 1;
        self.steps += steps;
        self.exchanges += report.exchanges;
        self.kills += report.kills;
        self.reuses += report.reuses;
        if let Some(promise) = report.broken {
            self.failed += 1;
            self.broken.entry(promise).or_insert((0, seed, report.history)).0 += 1;
        }
    }
}

fn draw(kind: Kind, seed: u64) -> (Setup, Vec<Step>) {
    let mut random = Random::new(seed);
    let setup = Setup::draw(kind, &mut random);
    let length = scale(30, 50) + random.below(scale(40, 100));
    let steps = setup.steps(&mut random, length);
    (setup, steps)
}

fn go(setup: &Setup, steps: &[Step]) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(walk(setup, steps))
}

fn fail(kind: Kind, sum: Sum) -> ! {
    let mut shown = format!("{} of {} walks break a promise:\n", sum.failed, sum.walks);
    for (promise, (times, seed, _)) in &sum.broken {
        let _ = writeln!(shown, "    {promise:?}: {times}; JWT_REFRESH_SEED={seed} has one of them");
    }
    for (promise, (_, seed, history)) in sum.broken {
        let (setup, steps) = draw(kind, seed);
        let (steps, shortest) = shorten(&setup, steps, promise, history.clone());
        let steps = steps.iter().map(|step| format!("    {step:?}")).collect::<Vec<_>>().join("\n");
        let _ = write!(
            shown,
            "\n== {promise:?}, seed {seed}: {setup:?}\n\nThe shortest that breaks it:\n{steps}\n\n{shortest}\n\n\
             The whole walk:\n{history}\n"
        );
    }
    panic!("{shown}");
}

/// Leaves out what can be left out.
fn shorten(setup: &Setup, mut steps: Vec<Step>, promise: Promise, mut history: String) -> (Vec<Step>, String) {
    let begun = Instant::now();
    let mut size = steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < steps.len() && begun.elapsed() < SHORTENING {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            let report = go(setup, &fewer);
            if report.broken == Some(promise) {
                (steps, history) = (fewer, report.history);
            } else {
                at += size;
            }
        }
        if size == 1 || begun.elapsed() >= SHORTENING {
            return (steps, history);
        }
        size = size.div_ceil(2);
    }
}
