//! What a child process does: this test binary again, with its orders in the environment. It calls the API through a session
//! of its own until its standard input is closed, and says on its standard output what happens.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jwt_refresh::{Error, ErrorKind, Event, Events, HttpAuthenticator, Policy, Session};
use jwt_refresh_testkit::TestServer;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::shelf::Shelf;

/// Where a child finds its orders.
pub(crate) const ORDERS: &str = "JWT_REFRESH_TORTURE_ORDERS";

/// Which account to use, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) server: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) shelf: Shelf,
}

impl Orders {
    pub(crate) fn new(server: &TestServer, shelf: Shelf) -> Self {
        let [server, email, password] = [server.base_url(), server.email(), server.password()].map(str::to_owned);
        Self { server, email, password, shelf }
    }

    pub(crate) fn session(&self) -> Session {
        let authenticator = HttpAuthenticator::builder(format!("{}/api/auth/login", self.server))
            .refresh_url(format!("{}/api/auth/refresh", self.server))
            .field("email", self.email.as_str())
            .secret_field("password", self.password.as_str())
            .build()
            .expect("an authenticator");
        // The disk of a busy machine may take its time, and that is not what is tested.
        let policy = Policy::default().store_timeout(Duration::from_secs(20));
        self.shelf.put(Session::builder(authenticator).policy(policy)).build()
    }
}

/// What a child says, a line each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// It has another token than before: the so manieth.
    Token(u64),
    /// A call failed.
    Failed(String),
    /// The server's answer took longer than the token in it had to live: this machine was busy.
    Stale,
    LoggedOut,
    /// It got a token although it was logged out.
    Resurrected,
    /// The session warned of something.
    Warned(String),
    /// It ends.
    Done(crate::caller::Tally),
}

pub(crate) fn say(said: &Said) {
    let line = serde_json::to_string(said).expect("JSON");
    // The parent may be gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Does nothing when it is run as a test.
#[tokio::test(flavor = "current_thread")]
async fn follows_orders() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    say_warnings();
    let mut caller = Caller::new(orders.session(), &orders.server);
    // A line of its own.
    println!();
    tokio::spawn(tell_of_stale_answers(caller.session.events()));

    let ended = until_stdin_ends();
    let (mut generation, mut logged_out) = (0, false);
    while !ended.load(Ordering::Acquire) {
        let send = caller.tally.calls.is_multiple_of(4);
        match caller.call(send).await {
            Ok(_) if logged_out => say(&Said::Resurrected),
            Ok(token) if token.generation() == generation => {}
            Ok(token) => {
                generation = token.generation();
                say(&Said::Token(generation));
            }
            Err(error) if error.kind() == ErrorKind::LoggedOut => {
                if !logged_out {
                    say(&Said::LoggedOut);
                }
                logged_out = true;
            }
            Err(error) if is_stale(&error) => {}
            Err(error) => say(&Said::Failed(format!("{error}: {error:?}"))),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    caller.session.flush().await;
    say(&Said::Done(caller.tally));
}

async fn tell_of_stale_answers(mut events: Events) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Failed(error) if is_stale(&error)) {
            say(&Said::Stale);
        }
    }
}

fn is_stale(error: &Error) -> bool {
    error.to_string().contains("already expired")
}

pub(crate) fn until_stdin_ends() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end.store(true, Ordering::Release);
    });
    ended
}

/// From now on, says what is logged.
pub(crate) fn say_warnings() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).with_writer(|| Warnings).init();
}

struct Warnings;

impl std::io::Write for Warnings {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        say(&Said::Warned(String::from_utf8_lossy(line).trim().to_owned()));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
