//! Child processes: the test binary again, which runs one of its tests.

use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The environment variable in which a child process finds its orders.
const ORDERS: &str = "JWT_REFRESH_TEST_ORDERS";

/// A command that runs one test of this binary.
pub(crate) fn test_command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture"]);
    command
}

/// A command that runs one test of this binary as a child process, which finds its `orders`.
///
/// Such a test is ignored otherwise, and does nothing if it has no orders.
pub(crate) fn child_command(test: &str, orders: &str) -> Command {
    let mut command = test_command(test);
    command.env(ORDERS, orders);
    command
}

/// The orders of this process, if it is a child process.
pub(crate) fn orders() -> Option<String> {
    std::env::var(ORDERS).ok()
}

/// Returns what becomes true when the parent of this process closes its standard input.
pub(crate) fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end.store(true, Ordering::Release);
    });
    ended
}
