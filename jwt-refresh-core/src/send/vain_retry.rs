//! Tells a method with `retry` that a request in its body was sent again already, in vain, so that
//! the method does not do the same once more.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    /// How many requests of this thread were rejected again after their token was renewed.
    static REJECTED_AGAIN: Cell<u64> = const { Cell::new(0) };
}

/// Notes that a request was rejected again after its token was renewed.
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
#[cold]
pub(super) fn note_rejected_again() {
    REJECTED_AGAIN.set(REJECTED_AGAIN.get() + 1);
}

/// Watches one run of a body. What is noted in a task of its own that the body starts is not seen.
/// What a method that the body calls has seen is, because its result is perhaps that of the body.
#[derive(Debug, Default)]
pub struct VainRetry {
    seen: bool,
}

impl VainRetry {
    /// Returns whether a request was sent again in vain.
    #[inline]
    pub fn is_seen(&self) -> bool {
        self.seen
    }

    /// Awaits a run of the body. Takes it pinned, because the future of an `async fn` would hold it
    /// twice.
    #[inline]
    pub fn watch<'a, F: Future>(&'a mut self, run: Pin<&'a mut F>) -> WatchedRun<'a, F> {
        WatchedRun { vain: self, run }
    }

    /// Does a run of a body that is not async.
    #[inline]
    pub fn watch_blocking<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let before = REJECTED_AGAIN.get();
        let result = run();
        self.seen |= REJECTED_AGAIN.get() != before;
        result
    }
}

/// A run of an async body, which is watched each time it is polled.
#[derive(Debug)]
pub struct WatchedRun<'a, F> {
    vain: &'a mut VainRetry,
    run: Pin<&'a mut F>,
}

// `poll_fn` would do, but its `poll` is not inlined into the method, which costs more than the
// watching.
impl<F: Future> Future for WatchedRun<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { vain, run } = &mut *self;
        vain.watch_blocking(|| run.as_mut().poll(context))
    }
}
