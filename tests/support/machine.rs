//! How busy the machine is with other things than the test that asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::time::{ClockId, clock_gettime};

/// How much of a core a thread must get that wants one, for the machine not to be busy.
const FREE: f64 = 0.3;
/// How many threads may want each core then. One that sleeps most of the time, as that which asks
/// here, is let in before others that wait.
const CROWD: f64 = 3.0;
const SPIN: Duration = Duration::from_millis(1);
const PAUSE: Duration = Duration::from_millis(40);
/// How much longer than it has to take may something take that waits for several threads: where
/// none of them waited for a core, and on a busy machine.
const PROMPT: Duration = Duration::from_millis(300);
const BUSY: Duration = Duration::from_secs(10);
/// How many times in a row a thread waits for a core as long as was seen.
const STALLS: u32 = 5;

/// A thread that measures how much of a core it gets. How soon something is done is asserted only
/// if that is enough, so that a busy machine fails no test.
pub(crate) struct Machine {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Given>,
}

/// What the machine has given to a thread.
#[derive(Debug)]
struct Given {
    /// How much of a core, while the thread wanted one.
    share: f64,
    /// For how long the thread waited for a core at most.
    stall: Duration,
    /// How many threads wanted each core, where that is known.
    crowd: Option<f64>,
}

impl Machine {
    pub(crate) fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        Self { ended, thread: std::thread::spawn(move || given_until(&seen)) }
    }

    /// Whether the machine was free enough since then.
    pub(crate) fn was_free(self) -> bool {
        self.end().is_enough()
    }

    /// Asserts that `took` is not longer than `time`, beside what the machine has added since then.
    pub(crate) fn assert_took(self, took: Duration, time: Duration) {
        let given = self.end();
        let late = if given.is_enough() { PROMPT + given.stall * STALLS } else { BUSY };
        assert!(took <= time + late, "{took:?} instead of {time:?}; the machine may have added {late:?}");
    }

    fn end(self) -> Given {
        self.ended.store(true, Ordering::Release);
        let given = self.thread.join().unwrap();
        println!("# the machine gave {given:?}");
        given
    }
}

impl Given {
    fn is_enough(&self) -> bool {
        self.share >= FREE && self.crowd.is_none_or(|crowd| crowd <= CROWD)
    }
}

/// Where it cannot be measured, the machine counts as busy.
#[cfg(not(unix))]
fn given_until(_: &AtomicBool) -> Given {
    Given { share: 0.0, stall: Duration::ZERO, crowd: None }
}

#[cfg(unix)]
fn given_until(ended: &AtomicBool) -> Given {
    let (mut used, mut passed, mut stall) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut crowds = Vec::new();
    while !ended.load(Ordering::Acquire) {
        let (cpu, wall) = (cpu_time(), Instant::now());
        while cpu_time().saturating_sub(cpu) < SPIN {}
        let (worked, took) = (cpu_time().saturating_sub(cpu), wall.elapsed());
        let sleeps = Instant::now();
        std::thread::sleep(PAUSE);
        let overslept = sleeps.elapsed().saturating_sub(PAUSE);
        (used, passed) = (used + worked, passed + took);
        stall = stall.max(took.saturating_sub(worked)).max(overslept);
        crowds.extend(crowd());
    }
    let share = used.as_secs_f64() / passed.as_secs_f64().max(f64::MIN_POSITIVE);
    let seen = u32::try_from(crowds.len()).unwrap();
    Given { share, stall, crowd: (seen > 0).then(|| crowds.iter().sum::<f64>() / f64::from(seen)) }
}

/// How many threads want each core now, on Linux.
#[cfg(unix)]
fn crowd() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let running = stat.lines().find_map(|line| line.strip_prefix("procs_running "))?;
    let cores = u32::try_from(std::thread::available_parallelism().ok()?.get()).ok()?;
    Some(running.trim().parse::<f64>().ok()? / f64::from(cores))
}

#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap())
}
