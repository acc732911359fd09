//! Starting up and closing down: waiting until accounts serve, and ending what is under way.

use std::sync::Arc;
use std::time::Duration;

use super::shared::PoolShared;
use super::state::PoolState;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::pool::close_report::CloseReport;
use crate::pool::quarantine::QuarantineCause;
use crate::runtime;

/// How long jobs that were cut off may take to end.
const CUT_OFF: Duration = Duration::from_secs(1);

/// How many accounts in quarantine are looked at for one that had a failure, for each cause.
const LOOKED_AT: usize = 1024;

/// Waits until `accounts` accounts serve, for the time `within` at most.
pub(super) async fn wait_ready(pool: &Arc<PoolShared>, accounts: usize, within: Duration) -> Result<(), Error> {
    let deadline = Moment::since_boot((pool.clock.moment() + within).boot);
    let look = |state: &mut PoolState, _| {
        let outcome = state.expect_open().map(|()| state.active() >= accounts);
        Some(outcome).filter(|outcome| !matches!(outcome, Ok(false)))
    };
    match pool.wait_for(&pool.clock, deadline, look).await? {
        Some(outcome) => outcome.map(drop),
        None => Err(not_ready(pool, accounts, within)),
    }
}

/// How many accounts are in quarantine for one cause, and one of them that had a failure.
type Reason = (QuarantineCause, u32, Option<(String, Error)>);

/// Returns the error that says how many accounts serve, and why the others do not.
fn not_ready(pool: &Arc<PoolShared>, wanted: usize, within: Duration) -> Error {
    let (active, size, reasons) = pool.change(|state, _| (state.active(), state.size(), reasons(state)));
    let what = format!("{active} of {size} accounts serve after {within:.1?}, and not {wanted}");
    // Errors of the user's are put into words here, and not under the lock.
    let reasons: Vec<String> = reasons
        .into_iter()
        .map(|(cause, count, example)| {
            let example = example.map(|(name, error)| format!(" ({name:?}: {})", error.report()));
            format!("{count} {cause}{}", example.unwrap_or_default())
        })
        .collect();
    let error = Error::new(ErrorKind::Busy, what).advising("look at what keeps the others, or wait longer");
    if reasons.is_empty() { error } else { error.detailed(reasons.join(", ")) }
}

fn reasons(state: &PoolState) -> Vec<Reason> {
    let example = |cause| {
        let looked_at = state.quarantined_from(0).take(LOOKED_AT);
        let mut failed = looked_at.filter(|(.., quarantine)| quarantine.cause == cause);
        failed.find_map(|(_, entry, quarantine)| Some((entry.identity.name().to_owned(), quarantine.error.clone()?)))
    };
    let causes = state.counters.quarantined.each().filter(|(_, count)| *count > 0);
    causes.map(|(cause, count)| (cause, count, example(cause))).collect()
}

/// Closes a pool. The future waits until all jobs have ended, for the time `within` at most.
pub(super) fn close(pool: &Arc<PoolShared>, within: Duration) -> impl Future<Output = CloseReport> + Send + use<> {
    let pool = Arc::clone(pool);
    pool.change(PoolState::close_pool);
    // Requests take real time, whatever the pool's clock shows.
    let clock = Clock::system();
    let deadline = Moment::since_boot((clock.moment() + within).boot);
    async move {
        // In a fork nothing is under way, and nothing would end the wait.
        if end_jobs(&pool, &clock, deadline).await.is_ok() {
            tokio::select! {
                biased;
                () = pool.flush() => {}
                () = runtime::sleep_until(&clock, deadline) => {}
            }
        }
        let unsaved = pool.stored_accounts().iter().filter(|account| !account.is_saved()).count();
        CloseReport { unsaved, ..pool.change(|state, _| state.close_report()) }
    }
}

/// Waits until the jobs of a closed pool have ended, and at `deadline` cuts them off.
async fn end_jobs(pool: &Arc<PoolShared>, clock: &Clock, deadline: Moment) -> Result<(), Error> {
    let have_ended = |state: &mut PoolState, _| Some(()).filter(|()| state.has_ended());
    if pool.wait_for(clock, deadline, have_ended).await?.is_some() {
        return Ok(());
    }
    pool.change(|state, _| state.cut_off(!pool.has_store()));
    pool.ends.send_replace(true);
    let deadline = Moment::since_boot((clock.moment() + CUT_OFF).boot);
    pool.wait_for(clock, deadline, have_ended).await.map(drop)
}
