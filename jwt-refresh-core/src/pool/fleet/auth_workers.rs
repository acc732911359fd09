//! Which auth workers live, as a process that uses tokens sees it: it may read their figures, and
//! not which of them is the coordinator. One of those that live is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::messages::WorkerFigures;
use super::place::FleetPlace;
use super::redis_time::redis_now;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::pool::failure;
use crate::redis::Connection;
use crate::runtime;
use crate::store::StoreError;
use crate::sync::Mutex;

/// After which wait of a caller it is looked whether an auth worker lives, and how often.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(2);
/// For how long what was seen is told to callers.
const TOLD: Duration = Duration::from_secs(5);
/// How long callers without a deadline wait for an auth worker at least. All of them may be started
/// again at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the figures of the auth workers that live at `now`, in microseconds on Redis' clock.
pub(super) async fn living(
    place: &FleetPlace,
    link: &Connection,
    now: u64,
) -> Result<BTreeMap<String, WorkerFigures>, StoreError> {
    let rows = link.all_of(&place.keys.workers).await?;
    let workers = rows.into_iter().filter_map(|(name, row)| Some((name, serde_json::from_str(&row).ok()?)));
    Ok(workers.filter(|(_, worker): &(String, WorkerFigures)| worker.until > now).collect())
}

/// Looks whether an auth worker lives while callers of this process wait. The callers share what
/// was seen, so that many of them cost one look.
#[derive(Default)]
pub(super) struct AuthWorkerWatch(pub(super) Arc<Mutex<LastLook>>);

#[derive(Default)]
pub(super) struct LastLook {
    /// When the last look was begun, since boot.
    pub(super) looked: Option<Timestamp>,
    /// If it was seen last that none lives: since when that was seen, and when last.
    gone: Option<(Timestamp, Timestamp)>,
}

impl LastLook {
    fn are_gone(&self, now: Timestamp) -> bool {
        self.gone.is_some_and(|(_, seen)| now < seen + TOLD)
    }

    fn are_gone_for_good(&self, now: Timestamp) -> bool {
        self.are_gone(now) && self.gone.is_some_and(|(since, _)| now >= since + PATIENCE)
    }

    /// Takes what was seen. Returns whether it is news that none lives.
    pub(super) fn note(&mut self, are_gone: bool, now: Timestamp) -> bool {
        let before = self.gone.take().filter(|(_, seen)| now < *seen + TOLD);
        self.gone = are_gone.then(|| (before.map_or(now, |(since, _)| since), now));
        are_gone && before.is_none()
    }
}

impl AuthWorkerWatch {
    /// Looks again and again while a caller waits. Returns when the caller `gives_up`, which it is
    /// asked once no auth worker has lived for a minute. The caller needs no runtime.
    pub(super) async fn look(
        &self,
        (place, link, clock): (&FleetPlace, &Arc<Connection>, &Clock),
        gives_up: impl Fn() -> bool,
    ) {
        let mut pause = FIRST_LOOK;
        loop {
            runtime::sleep_until(clock, clock.moment() + pause).await;
            pause = PAUSE;
            let are_gone = self.0.lock().are_gone_for_good(clock.moment().boot);
            if are_gone && gives_up() {
                return;
            }
            if self.is_due(clock) {
                self.begin(place, link, clock);
            }
        }
    }

    fn is_due(&self, clock: &Clock) -> bool {
        let now = clock.moment().boot;
        let mut seen = self.0.lock();
        let is_due = seen.looked.is_none_or(|looked| now >= looked + PAUSE);
        if is_due {
            seen.looked = Some(now);
        }
        is_due
    }

    /// Begins to look, on the library's runtime. If the caller is dropped, the look goes on.
    fn begin(&self, place: &FleetPlace, link: &Arc<Connection>, clock: &Clock) {
        let Ok(library) = runtime::handle() else { return };
        let (seen, place, link, clock) = (Arc::clone(&self.0), place.clone(), Arc::clone(link), clock.clone());
        library.spawn(async move {
            let look = async { living(&place, &link, redis_now(&link, &place.keys.demand).await?).await };
            // If Redis is away, callers are told that.
            let Ok(workers) = look.await else { return };
            if seen.lock().note(workers.is_empty(), clock.moment().boot) {
                tracing::warn!(
                    target: "jwt_refresh",
                    fleet = place.settings.name,
                    "callers wait for a lease, and no auth worker of the fleet lives: no share moves, and no token is renewed"
                );
            }
        });
    }

    /// Returns the error of a caller whose deadline has passed, with the reason if it is known.
    pub(super) fn explain(&self, error: Error, place: &FleetPlace, clock: &Clock) -> Error {
        let are_gone = self.0.lock().are_gone(clock.moment().boot);
        if are_gone { failure::without_auth_worker(error, &place.settings.name) } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn auth_workers_are_gone_for_good_when_each_look_of_a_minute_has_found_none() {
        let at = |seconds: u64| (Moment::since_boot(Timestamp::from_nanos(0)) + Duration::from_secs(seconds)).boot;
        let mut seen = LastLook::default();
        assert!(seen.note(true, at(0)), "that none lives is news");
        for now in (4..60).step_by(4) {
            assert!(!seen.are_gone_for_good(at(now)), "after {now} s");
            assert!(!seen.note(true, at(now)));
        }
        assert!(!seen.note(true, at(60)));
        assert!(seen.are_gone_for_good(at(60)) && !seen.are_gone_for_good(at(66)), "what was seen grows old");
        assert!(!seen.note(false, at(62)) && !seen.are_gone(at(62)), "one lives");
        assert!(seen.note(true, at(64)) && !seen.are_gone_for_good(at(64)), "a minute from then on");
    }
}
