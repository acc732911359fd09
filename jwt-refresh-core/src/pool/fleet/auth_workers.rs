//! Which auth workers live, as a process that uses tokens sees it: it may read their figures, and
//! not which of them is the coordinator. One of those that live is.

use std::collections::BTreeMap;
use std::convert::Infallible;
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
pub(super) struct AuthWorkerWatch(Arc<Mutex<LastLook>>);

#[derive(Default)]
struct LastLook {
    /// When the last look was begun, since boot.
    looked: Option<Timestamp>,
    /// When it was seen that none lives, if that was seen last.
    gone: Option<Timestamp>,
}

impl LastLook {
    fn are_gone(&self, now: Timestamp) -> bool {
        self.gone.is_some_and(|gone| now < gone + TOLD)
    }
}

impl AuthWorkerWatch {
    /// Looks again and again, for as long as a caller waits. The caller needs no runtime.
    pub(super) async fn look(&self, place: &FleetPlace, link: &Arc<Connection>, clock: &Clock) -> Infallible {
        let mut pause = FIRST_LOOK;
        loop {
            runtime::sleep_until(clock, clock.moment() + pause).await;
            pause = PAUSE;
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
            let now = clock.moment().boot;
            let were_gone = {
                let mut seen = seen.lock();
                let were_gone = seen.are_gone(now);
                seen.gone = workers.is_empty().then_some(now);
                were_gone
            };
            if workers.is_empty() && !were_gone {
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
