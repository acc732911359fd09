//! A process that was forked after the library's threads had started has none of them.

use std::time::Duration;

use jwt_refresh::ErrorKind;

use crate::{World, block_on};

#[test]
fn after_a_fork_the_child_gets_a_clear_error_and_does_not_hang() {
    let world = World::new();
    let session = world.builder().build();
    block_on(session.token()).unwrap();
    world.pass(Duration::from_secs(61));

    // SAFETY: the child calls nothing but this session, which takes no lock that another thread
    // could have held while the process was forked, and then leaves without running destructors.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // A hang ends in SIGALRM.
        // SAFETY: `alarm` has no preconditions.
        unsafe { libc::alarm(20) };
        let error = block_on(session.token()).unwrap_err();
        let is_clear = error.kind() == ErrorKind::Configuration && error.to_string().contains("forked");
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(if is_clear { 7 } else { 8 }) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "the child ended with {status:#x}");
    // The parent goes on.
    block_on(session.token()).unwrap();
}
