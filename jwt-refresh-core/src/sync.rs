//! The primitives under the state machine: the standard library's, or those of the model checker that tries all their
//! interleavings (`RUSTFLAGS='--cfg shuttle'`, see `session/desk/model.rs`).

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
