//! The library's tokio runtime: renewals and background tasks run on it, whatever runtime asks.
//!
//! A session must not depend on the runtime of its caller. That one may be parked, end, have a
//! single thread that waits for the renewal, or not exist. See "Which runtime do renewals run on?"
//! in DESIGN.md.

use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(feature = "blocking")]
use std::sync::mpsc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "blocking")]
use crate::provider::Renewal;
use crate::sync::Mutex;

/// How many threads run timers, sockets and background tasks. Two, so that one that is held up does
/// not stop the others.
const THREADS: usize = 2;

/// How many threads may run authenticators, each one at a time.
const MAX_AUTHENTICATOR_THREADS: usize = 4096;

/// The process that has the library's threads, 0 before they are started.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Returns the library's runtime, which is started at the first call.
///
/// Returns an error if its threads cannot be started, or if this process was forked from the one
/// that has them: a fork has no thread but the one that forked.
pub(crate) fn handle() -> Result<Handle, Error> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    // Before anything is locked: the thread that forked may not be the one that had locked it.
    expect_threads()?;
    let mut library = RUNTIME.lock();
    if let Some(started) = &*library {
        return Ok(started.handle().clone());
    }
    let started = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(MAX_AUTHENTICATOR_THREADS)
        .thread_name("jwt-refresh")
        .enable_all()
        .build();
    let runtime = started.map_err(|error| {
        Error::new(ErrorKind::Configuration, "the threads that renew tokens could not be started").caused_by(error)
    })?;
    PROCESS.store(std::process::id(), Ordering::Release);
    Ok(library.insert(runtime).handle().clone())
}

/// Returns an error if this process was forked from the one that has the library's threads.
pub(crate) fn expect_threads() -> Result<(), Error> {
    if is_of_parent() {
        let what = "this process was forked after the library's threads had started, and has none of them";
        return Err(Error::new(ErrorKind::Configuration, what));
    }
    Ok(())
}

/// Returns whether the library's threads are those of a process that this one was forked from.
pub(crate) fn is_of_parent() -> bool {
    let process = PROCESS.load(Ordering::Acquire);
    process != 0 && process != std::process::id()
}

/// A task that goes on in the background. Dropping this ends it.
pub(crate) struct BackgroundTask(JoinHandle<()>);

impl BackgroundTask {
    pub(crate) fn spawn(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(runtime.spawn(work))
    }

    /// Returns whether it has ended, also by a panic or with its runtime.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `work` on a thread of its own: an authenticator that blocks its thread stops no other one.
/// `library` is the library's runtime, whose timers and sockets `work` uses.
pub(crate) fn spawn_on_own_thread<T: Send + 'static>(
    library: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let handle = library.clone();
    library.spawn_blocking(move || handle.block_on(work))
}

/// Runs `work` on a thread of the library's, and waits for it. The caller needs no runtime. If the
/// caller is dropped, `work` goes on.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let lost = || Error::new(ErrorKind::Aborted, "the work was cut off by a panic");
    spawn_on_own_thread(&handle()?, work).await.map_err(|_| lost())?
}

/// Waits until `clock` has reached `deadline`. The caller needs no runtime.
pub(crate) async fn sleep_until(clock: &Clock, deadline: Moment) {
    if deadline == Moment::NEVER {
        return std::future::pending().await;
    }
    // The set aborts the timer if the caller is dropped.
    let mut timer = JoinSet::new();
    let clock = clock.clone();
    match handle() {
        Ok(library) => {
            timer.spawn_on(async move { clock.sleep_until(deadline).await }, &library);
            timer.join_next().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Waits for the future that `begin` returns. May be called on any thread, also inside a runtime.
#[cfg(feature = "blocking")]
pub(crate) fn wait<T: Send + 'static>(begin: impl FnOnce() -> Renewal<T>) -> Result<T, Error> {
    let library = handle()?;
    let (sender, receiver) = mpsc::sync_channel(1);
    // `begin` is called in the caller's task, because a session recognises by the task whether the
    // caller would wait for itself.
    let renewal = begin();
    library.spawn(async move { sender.send(renewal.await) });
    let receive = || receiver.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::Aborted, "the renewal was lost")));
    let is_ours = Handle::try_current().is_ok_and(|current| current.id() == library.id());
    if is_ours { tokio::task::block_in_place(receive) } else { receive() }
}
