//! Tells a method with `retry` that a request in its body was sent again already, in vain, so that
//! the method does not do the same once more.

use std::cell::Cell;
use std::future;
use std::pin::Pin;

thread_local! {
    /// What is known to the method that runs on this thread.
    static WATCH: Cell<Watch> = const { Cell::new(Watch::Off) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// No method with `retry` runs.
    Off,
    On,
    /// A request in the body was rejected again after its token was renewed.
    RejectedAgain,
}

/// Notes that a request was rejected again after its token was renewed.
pub(super) fn note_rejected_again() {
    WATCH.with(|watch| {
        if watch.get() == Watch::On {
            watch.set(Watch::RejectedAgain);
        }
    });
}

/// Watches one run of a body. What is noted in a task of its own that the body starts is not seen.
#[derive(Debug, Default)]
pub struct VainRetry {
    seen: bool,
}

impl VainRetry {
    /// Returns whether a request was sent again in vain.
    pub fn is_seen(&self) -> bool {
        self.seen
    }

    /// Awaits a run of the body. Takes it pinned, because the future of an `async fn` would hold it
    /// twice.
    pub fn watch<F: Future>(&mut self, mut run: Pin<&mut F>) -> impl Future<Output = F::Output> {
        future::poll_fn(move |context| {
            let _watching = Watching::start(&mut self.seen);
            run.as_mut().poll(context)
        })
    }

    /// Does a run of a body that is not async.
    pub fn watch_blocking<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let _watching = Watching::start(&mut self.seen);
        run()
    }
}

/// Watches until it is dropped, and then restores what a method around this one watches.
struct Watching<'a> {
    outer: Watch,
    seen: &'a mut bool,
}

impl<'a> Watching<'a> {
    fn start(seen: &'a mut bool) -> Self {
        Self { outer: WATCH.replace(Watch::On), seen }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        *self.seen |= WATCH.replace(self.outer) == Watch::RejectedAgain;
        // What this method returns is the result of the method around it, perhaps.
        if *self.seen {
            note_rejected_again();
        }
    }
}
