//! A lock that ignores poisoning. A test that panics while it holds one fails by that panic, and
//! the server keeps working for the other tests that share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
