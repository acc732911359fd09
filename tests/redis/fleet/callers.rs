//! Callers that take one lease after the other, and count how many of an account are held at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Lease, RedisPool};
use tokio::task::JoinSet;

use crate::support::until;

/// How long a lease is held, and for how long it is waited.
const HELD: Duration = Duration::from_millis(4);
const PATIENCE: Duration = Duration::from_millis(250);

/// What the callers of one or several pools have seen.
#[derive(Default)]
pub(crate) struct Seen {
    held: Mutex<HashMap<String, Leases>>,
}

/// The leases of an account.
struct Leases {
    held: u32,
    /// How many were held at once.
    most: u32,
    last: Instant,
    longest_gap: Duration,
}

/// A lease that is counted. It is given back after it was counted off, so none is counted twice.
struct Held {
    lease: Lease,
    seen: Arc<Seen>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seen.held.lock().unwrap().get_mut(self.lease.account()).unwrap().held -= 1;
    }
}

impl Seen {
    fn hold(self: &Arc<Self>, lease: Lease) -> Held {
        let new = || Leases { held: 0, most: 0, last: Instant::now(), longest_gap: Duration::ZERO };
        let mut held = self.held.lock().unwrap();
        let account = held.entry(lease.account().to_owned()).or_insert_with(new);
        account.held += 1;
        account.most = account.most.max(account.held);
        account.longest_gap = account.longest_gap.max(account.last.elapsed());
        account.last = Instant::now();
        Held { lease, seen: Arc::clone(self) }
    }

    /// Returns how many leases of the account were held at once at most.
    pub(crate) fn most(&self, account: &str) -> u32 {
        self.held.lock().unwrap().get(account).map_or(0, |leases| leases.most)
    }

    /// Takes the longest time without a lease of each account since this was called last, up to
    /// now.
    pub(crate) fn take_longest_gaps(&self) -> HashMap<String, Duration> {
        let mut held = self.held.lock().unwrap();
        let take = |leases: &mut Leases| std::mem::take(&mut leases.longest_gap).max(leases.last.elapsed());
        held.iter_mut().map(|(account, leases)| (account.clone(), take(leases))).collect()
    }
}

/// Callers of one pool. They end when this is dropped.
pub(crate) struct Callers {
    figures: Arc<Mutex<Figures>>,
    _tasks: JoinSet<()>,
}

struct Figures {
    leases: u64,
    errors: Vec<ErrorKind>,
}

impl Callers {
    /// Starts `count` callers, who ask for `tag`.
    pub(crate) fn start(pool: &RedisPool, count: usize, tag: &'static str, seen: &Arc<Seen>) -> Self {
        let figures = Figures { leases: 0, errors: Vec::new() };
        let figures = Arc::new(Mutex::new(figures));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(call(pool.clone(), tag, Arc::clone(seen), Arc::clone(&figures)));
        }
        Self { figures, _tasks: tasks }
    }

    pub(crate) fn leases(&self) -> u64 {
        self.figures.lock().unwrap().leases
    }

    /// Takes the errors that callers got since this was called last. Time-outs are none: callers of
    /// several processes take turns.
    pub(crate) fn take_errors(&self) -> Vec<ErrorKind> {
        std::mem::take(&mut self.figures.lock().unwrap().errors)
    }
}

async fn call(pool: RedisPool, tag: &'static str, seen: Arc<Seen>, figures: Arc<Mutex<Figures>>) {
    loop {
        match pool.lease().tag(tag).within(PATIENCE).await {
            Ok(lease) => {
                let held = seen.hold(lease);
                figures.lock().unwrap().leases += 1;
                tokio::time::sleep(HELD).await;
                drop(held);
            }
            Err(error) => {
                if error.kind() != ErrorKind::Busy {
                    figures.lock().unwrap().errors.push(error.kind());
                }
                tokio::time::sleep(HELD).await;
            }
        }
    }
}

/// Waits until `callers` have had `leases` more.
pub(crate) async fn more(callers: &Callers, leases: u64) {
    let before = callers.leases();
    until(&format!("{leases} more leases"), async || callers.leases() >= before + leases).await;
}
