//! Sessions on a runtime that lacks something or ends.
//!
//! With the feature `blocking`, renewals run on a runtime of the library's own, which is always
//! there and does not end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jwt_refresh::{ErrorKind, Session, TokenProvider, Tokens};
use tokio::runtime::Runtime;

use crate::gated::Gated;
use crate::support::spawn_caller;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_renewal_whose_runtime_ends_fails_and_leaves_no_caller_waiting() {
    let gate = Gated::new();
    let session = Session::new(Arc::clone(&gate));
    let first = runtime();
    first.block_on(async {
        drop(spawn_caller(&session));
        gate.entered.notified().await;
    });
    drop(first);
    let error = runtime().block_on(session.token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
}

#[test]
fn a_runtime_without_timers_gives_an_error_that_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let error = runtime.block_on(Session::new(Gated::new()).token()).unwrap_err();
    assert!(error.to_string().contains("enable its timers"), "{error}");
}

#[test]
fn a_runtime_that_has_ended_before_a_renewal_gives_an_error_and_does_not_hang() {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _inside = handle.enter();
        let session = Session::new(Gated::new());
        let error = session.token().now_or_never().unwrap().unwrap_err();
        ended.send(error.kind()).unwrap();
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(30)), Ok(ErrorKind::Aborted));
}

#[test]
fn without_a_runtime_a_fresh_token_is_served_and_a_renewal_says_what_is_missing() {
    let session = Session::builder(Gated::new()).tokens(Tokens::new("captured").unwrap()).build();
    assert_eq!(session.ready().unwrap().expose(), "captured");
    let empty = Session::new(Gated::new());
    let error = empty.token().now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}
