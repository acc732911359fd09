//! The life of a process, which ends for all that it does at once.

use tokio::sync::watch;

#[derive(Clone, Debug)]
pub(crate) struct Life(watch::Sender<bool>);

impl Life {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Ends it: nothing goes on, though some of it may be polled yet.
    pub(crate) fn end(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Runs `work`. If the life ends before, `work` is dropped, and this never returns.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        let mut life = self.0.subscribe();
        let over = async { drop(life.wait_for(|over| *over).await) };
        tokio::select! {
            biased;
            () = over => std::future::pending().await,
            done = work => done,
        }
    }
}
