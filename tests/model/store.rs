//! The store of a process: one that all processes share, seen through faults of this process's own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jwt_refresh::store::{CorruptEntry, MemoryLease, MemoryStore, StoreEntry, StoreError, StoreErrorKind, TokenStore};

use crate::life::Life;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Load,
    Save,
    Lease,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, and the call fails.
    Down,
    /// It is done, and the call fails.
    AnswerLost,
    /// Nothing is done, and the call does not return.
    Hangs,
    /// It is done, and the call does not return.
    HangsAfter,
    /// The entry is cut short.
    Torn,
    /// The entry is another account's.
    Foreign,
    /// The entry is one that was there before.
    Old,
    /// The lease is given although another has it, as when a lease has run out unnoticed.
    Shared,
}

/// The store as one process sees it.
#[derive(Clone)]
pub(crate) struct Faulty(Arc<Inner>);

struct Inner {
    shared: MemoryStore,
    world: World,
    life: Life,
    session: usize,
    mind: Mutex<Mind>,
}

#[derive(Default)]
struct Mind {
    faults: VecDeque<(Method, Fault)>,
    is_down: bool,
    /// What this process has seen, the latest last.
    seen: Vec<StoreEntry>,
    leases: Vec<Slot>,
}

/// A lease that its process gives back, or loses when it dies.
type Slot = Arc<Mutex<Option<MemoryLease>>>;

pub(crate) struct Lease(Slot);

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// A call that goes on. If it is given up, the store has failed by being slow.
struct Pending<'a> {
    of: &'a Inner,
    is_done: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let is_given_up = !self.is_done && !self.of.life.is_over();
        self.of.world.with(|state| {
            state.sessions[self.of.session].store_calls -= 1;
            if is_given_up {
                state.trouble();
                state.note(format_args!("    the store of s{} is given up", self.of.session));
            }
        });
    }
}

impl Faulty {
    /// What `call` comes to while the process lives.
    async fn within<T>(&self, call: impl Future<Output = T>) -> T {
        self.0.world.with(|state| state.sessions[self.0.session].store_calls += 1);
        let mut pending = Pending { of: &self.0, is_done: false };
        let done = self.0.life.within(call).await;
        pending.is_done = true;
        done
    }

    pub(crate) fn new(shared: MemoryStore, world: World, life: Life, session: usize) -> Self {
        Self(Arc::new(Inner { shared, world, life, session, mind: Mutex::default() }))
    }

    fn mind<T>(&self, act: impl FnOnce(&mut Mind) -> T) -> T {
        act(&mut self.0.mind.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the next of these calls fail so.
    pub(crate) fn inject(&self, method: Method, fault: Fault) {
        self.mind(|mind| mind.faults.push_back((method, fault)));
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.mind(|mind| mind.is_down = is_down);
    }

    /// Forgets all faults that have not struck yet.
    pub(crate) fn heal(&self) {
        self.mind(|mind| {
            mind.is_down = false;
            mind.faults.clear();
        });
    }

    /// Whether a fault is still to strike.
    pub(crate) fn is_sick(&self) -> bool {
        self.mind(|mind| mind.is_down || !mind.faults.is_empty())
    }

    /// The process has died, and its leases with it.
    pub(crate) fn free(&self) {
        for slot in self.mind(|mind| std::mem::take(&mut mind.leases)) {
            drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    fn next(&self, method: Method) -> Option<Fault> {
        let fault = self.mind(|mind| {
            if mind.is_down {
                return Some(Fault::Down);
            }
            let at = mind.faults.iter().position(|(for_method, _)| *for_method == method)?;
            mind.faults.remove(at).map(|(_, fault)| fault)
        })?;
        self.0.world.with(|state| {
            state.trouble();
            state.loose_leases |= fault == Fault::Shared;
            let is_nonsense = matches!(fault, Fault::Torn | Fault::Foreign);
            if fault == Fault::Old || is_nonsense && state.setup.corrupt_entry == CorruptEntry::TreatAsEmpty {
                state.forget();
            }
            let hangs = method != Method::Lease && matches!(fault, Fault::Hangs | Fault::HangsAfter);
            state.stuck += usize::from(hangs);
            state.note(format_args!("    the store of s{}: {method:?}: {fault:?}", self.0.session));
        });
        Some(fault)
    }

    fn see(&self, entry: &StoreEntry) {
        self.mind(|mind| {
            if mind.seen.last() != Some(entry) {
                mind.seen.push(entry.clone());
            }
        });
    }

    /// The entry as the fault shows it.
    fn distorted(&self, fault: Option<Fault>, entry: StoreEntry) -> StoreEntry {
        match fault {
            Some(Fault::Torn) => {
                let half = entry.data[..entry.data.len() / 2].to_vec();
                StoreEntry { data: half.into(), ..entry }
            }
            Some(Fault::Foreign) => {
                let data = String::from_utf8_lossy(&entry.data).replace("\"ada\"", "\"eve\"").into_bytes();
                StoreEntry { data: data.into(), ..entry }
            }
            // Only what this process has seen to be old: it could not know otherwise.
            Some(Fault::Old) => {
                let older = |seen: &&StoreEntry| seen.revision < entry.revision;
                let seen_newer = self.mind(|mind| mind.seen.iter().any(|seen| seen.revision >= entry.revision));
                let old = self.mind(|mind| mind.seen.iter().rfind(older).cloned());
                old.filter(|_| seen_newer).unwrap_or(entry)
            }
            _ => {
                self.see(&entry);
                entry
            }
        }
    }

    async fn load_now(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        match self.next(Method::Load) {
            Some(Fault::Down) => Err(down()),
            Some(Fault::Hangs) => std::future::pending().await,
            fault => {
                let entry = self.0.shared.load(account).await?;
                Ok(entry.map(|entry| self.distorted(fault, entry)))
            }
        }
    }

    async fn save_now(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let fault = self.next(Method::Save);
        match fault {
            Some(Fault::Down) => return Err(down()),
            Some(Fault::Hangs) => std::future::pending().await,
            _ => {}
        }
        self.0.shared.save(account, entry).await?;
        match fault {
            Some(Fault::AnswerLost) => Err(down()),
            Some(Fault::HangsAfter) => std::future::pending().await,
            _ => {
                self.see(entry);
                Ok(())
            }
        }
    }

    async fn lease_now(&self, account: &str) -> Result<Lease, StoreError> {
        let lease = match self.next(Method::Lease) {
            Some(Fault::Down) => return Err(down()),
            // The time-out of a lease is too long to be waited for.
            Some(Fault::Hangs) => {
                self.0.world.hold("the lease is held").await;
                return Err(down());
            }
            Some(Fault::Shared) => None,
            _ => Some(self.0.shared.lease(account).await?),
        };
        let slot = Slot::new(Mutex::new(lease));
        self.mind(|mind| mind.leases.push(Arc::clone(&slot)));
        if self.0.life.is_over() {
            self.free();
        }
        Ok(Lease(slot))
    }
}

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store is down")
}

impl TokenStore for Faulty {
    type Lease = Lease;

    async fn load(&self, account: &str) -> Result<Option<StoreEntry>, StoreError> {
        self.within(self.load_now(account)).await
    }

    async fn save(&self, account: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        self.within(self.save_now(account, entry)).await
    }

    async fn lease(&self, account: &str) -> Result<Lease, StoreError> {
        self.within(self.lease_now(account)).await
    }

    async fn changed(&self, account: &str, revision: u64) {
        self.0.life.within(self.0.shared.changed(account, revision)).await;
    }
}
