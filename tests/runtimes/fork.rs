//! A process that was forked after the library's threads had started has none of them.

use std::time::Duration;

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::{Error, ErrorKind};

use crate::{World, block_on};

#[test]
fn after_a_fork_the_child_gets_a_clear_error_and_does_not_hang() {
    let world = World::new();
    let session = world.builder().build();
    block_on(session.token()).unwrap();
    world.pass(Duration::from_secs(61));
    assert_forked_child_gets_error(|| block_on(session.token()).unwrap_err());
    // The parent goes on.
    block_on(session.token()).unwrap();
}

#[test]
fn after_a_fork_a_caller_that_would_wait_for_a_lease_gets_a_clear_error() {
    let world = World::new();
    let account = Account::new("ada", world.authenticator()).concurrency(1);
    let pool = Pool::builder().account(account).build().unwrap();
    let held = block_on(pool.lease().into_future()).unwrap();
    assert_forked_child_gets_error(|| block_on(pool.lease().into_future()).unwrap_err());
    // The parent goes on.
    drop(held);
    block_on(pool.lease().into_future()).unwrap();
}

/// Forks, and checks that `call` in the child fails with an error that names the fork.
fn assert_forked_child_gets_error(call: impl FnOnce() -> Error) {
    // SAFETY: the child makes nothing but this call, which takes no lock that another thread could
    // have held while the process was forked, and then leaves without running destructors.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // A hang ends in SIGALRM.
        // SAFETY: `alarm` has no preconditions.
        unsafe { libc::alarm(20) };
        let error = call();
        let is_clear = error.kind() == ErrorKind::Configuration && error.to_string().contains("forked");
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(if is_clear { 7 } else { 8 }) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "the child ended with {status:#x}");
}
