//! How often all sessions of a process together look for changes in stores that do not announce
//! them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often changes are looked for in a store that does not announce them, unless very many
/// accounts are looked at.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// For stores that do not look for changes in a way of their own: at most 100 looks a second.
pub(super) static UNANNOUNCED: LookRate = LookRate::new(POLL, Duration::from_millis(10));

/// Bounds how often is looked, whatever the number of those who look.
pub(super) struct LookRate {
    /// How many wait for their next look.
    waiting: AtomicU32,
    /// The least time from one look of a caller to its next.
    pause: Duration,
    /// The least time from one look to the next of any caller, on average.
    apart: Duration,
}

/// A caller that waits for its next look.
pub(super) struct Waiting<'a> {
    rate: &'a LookRate,
    pub(super) pause: Duration,
}

impl LookRate {
    pub(super) const fn new(pause: Duration, apart: Duration) -> Self {
        Self { waiting: AtomicU32::new(0), pause, apart }
    }

    /// Returns how long a caller has to pause before it looks again. It counts as one that waits
    /// until it drops what is returned.
    pub(super) fn wait(&self) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Waiting { rate: self, pause: self.pause.max(self.apart.saturating_mul(waiting)) }
    }

    /// Pauses before the next look.
    pub(super) async fn pause(&self) {
        let waiting = self.wait();
        tokio::time::sleep(waiting.pause).await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.rate.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::store::{MemoryLease, StoreEntry, StoreError, TokenStore};

    /// A store that does not say how it announces changes.
    struct Quiet;

    impl TokenStore for Quiet {
        type Lease = MemoryLease;

        async fn load(&self, _: &str) -> Result<Option<StoreEntry>, StoreError> {
            Ok(None)
        }

        async fn save(&self, _: &str, _: &StoreEntry) -> Result<(), StoreError> {
            Ok(())
        }

        async fn lease(&self, _: &str) -> Result<MemoryLease, StoreError> {
            std::future::pending().await
        }
    }

    /// Returns how often `callers` look for a change within `seconds`.
    async fn looks(callers: u32, seconds: u64) -> u64 {
        let looks = Arc::new(AtomicU64::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let looks = Arc::clone(&looks);
            tasks.spawn(async move {
                loop {
                    Quiet.changed("account", 0).await;
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        looks.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_announces_nothing_is_looked_at_every_second_and_by_all_a_hundred_times_a_second() {
        let one = looks(1, 100).await;
        assert!((98..=100).contains(&one), "{one}");
        let many = looks(5000, 100).await;
        assert!((5_000..=15_000).contains(&many), "{many} looks in 100 s");
    }
}
