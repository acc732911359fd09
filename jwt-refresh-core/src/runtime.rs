//! Selects the tokio runtime on which renewals run.
//!
//! Without the feature `blocking` that is the caller's runtime. With it, it is a runtime of the
//! library, which is started at the first renewal. A thread that waits for a token in a method that
//! is not async may belong to the caller's runtime, and may even be its only thread. A renewal on
//! that runtime would wait for the thread that waits for the renewal.

#[cfg(not(feature = "blocking"))]
pub(crate) use callers::handle;
#[cfg(feature = "blocking")]
pub(crate) use own::{handle, wait};

#[cfg(not(feature = "blocking"))]
mod callers {
    use tokio::runtime::Handle;

    use crate::error::{Error, ErrorKind};

    /// Returns the caller's runtime, or an error if there is none.
    pub(crate) fn handle() -> Result<Handle, Error> {
        Handle::try_current().map_err(|_| {
            let what = "the token must be renewed, and there is no tokio runtime to do it on (or enable the feature `blocking`)";
            Error::new(ErrorKind::Configuration, what)
        })
    }
}

#[cfg(feature = "blocking")]
mod own {
    use std::sync::mpsc;
    use std::sync::{Mutex, PoisonError};

    use tokio::runtime::{Builder, Handle, Runtime};

    use crate::error::{Error, ErrorKind};
    use crate::provider::Renewal;

    /// Two threads, so that an authenticator may call a method of another session that is not
    /// async.
    const THREADS: usize = 2;

    /// Returns the library's runtime, or an error if its threads cannot be started.
    pub(crate) fn handle() -> Result<Handle, Error> {
        static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
        let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*runtime {
            return Ok(runtime.handle().clone());
        }
        let started =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("jwt-refresh").enable_all().build();
        let started = started.map_err(|error| {
            Error::new(ErrorKind::Configuration, "the threads that renew tokens could not be started").caused_by(error)
        })?;
        Ok(runtime.insert(started).handle().clone())
    }

    /// Waits for the future that `begin` returns. May be called on any thread, also inside a
    /// runtime.
    pub(crate) fn wait<T: Send + 'static>(begin: impl FnOnce() -> Renewal<T>) -> Result<T, Error> {
        let runtime = handle()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        // `begin` is called in the caller's task, because a session recognises by the task whether
        // the caller would wait for itself.
        let renewal = begin();
        runtime.spawn(async move { sender.send(renewal.await) });
        let receive =
            || receiver.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::Aborted, "the renewal was lost")));
        let is_ours = Handle::try_current().is_ok_and(|current| current.id() == runtime.id());
        if is_ours { tokio::task::block_in_place(receive) } else { receive() }
    }
}
