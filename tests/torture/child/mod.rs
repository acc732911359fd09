//! What child processes do, and what they tell their parent: one line of JSON for each message.

#[cfg(all(unix, feature = "redis"))]
pub(crate) mod fleet;
pub(crate) mod session;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::caller::Calls;
use crate::support::end_of_input;

/// What a child process tells its parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The process has a new token, of this generation.
    Token(u64),
    /// A call failed.
    Failed(String),
    /// The server's answer took longer than the token in it had to live: the machine was busy.
    Stale,
    LoggedOut,
    /// The process got a token although it was logged out.
    Resurrected,
    /// The library logged a warning.
    Warned(String),
    /// The process ends.
    Done(Calls),
}

pub(crate) fn send(message: &Message) {
    let line = serde_json::to_string(message).expect("JSON");
    // An error means that the parent is gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prepares the process: messages begin on a line of their own, and what is logged is sent. Returns
/// what becomes true when the parent closes standard input.
fn begin() -> Arc<AtomicBool> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).with_writer(|| Warnings).init();
    // The test harness has begun a line.
    println!();
    end_of_input()
}

/// Sends each line that is logged.
struct Warnings;

impl std::io::Write for Warnings {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        send(&Message::Warned(String::from_utf8_lossy(line).trim().to_owned()));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
