//! A child process that calls the API through a session of its own until its standard input is
//! closed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jwt_refresh::{Error, ErrorKind, Event, Events, Policy, Session};
use jwt_refresh_testkit::TestServer;
use serde::{Deserialize, Serialize};

use super::{Message, begin, send};
use crate::caller::Caller;
use crate::shared_store::SharedStore;
use crate::support::{login_at, orders};

/// Which account to use, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionOrders {
    server: String,
    email: String,
    password: String,
    pub(crate) store: SharedStore,
}

impl SessionOrders {
    pub(crate) fn new(server: &TestServer, store: SharedStore) -> Self {
        let [server, email, password] = [server.base_url(), server.email(), server.password()].map(str::to_owned);
        Self { server, email, password, store }
    }

    pub(crate) fn session(&self) -> Session {
        let authenticator = login_at(&self.server, &self.email, &self.password).build().expect("an authenticator");
        // The disk of a busy machine may be slow, and that is not what is tested.
        let policy = Policy::default().store_timeout(Duration::from_secs(20));
        self.store.of_session(Session::builder(authenticator).policy(policy)).build()
    }
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "runs as a child process of other tests"]
async fn follows_orders() {
    let Some(orders) = orders() else { return };
    let orders: SessionOrders = serde_json::from_str(&orders).unwrap();
    let ended = begin();
    let mut caller = Caller::new(orders.session(), &orders.server);
    tokio::spawn(report_stale_answers(caller.session.events()));
    let (mut generation, mut logged_out) = (0, false);
    while !ended.load(Ordering::Acquire) {
        let is_sent = caller.calls.all.is_multiple_of(4);
        let result = if is_sent { caller.call().await } else { caller.ask().await };
        match result {
            Ok(_) if logged_out => send(&Message::Resurrected),
            Ok(token) if token.generation() == generation => {}
            Ok(token) => {
                generation = token.generation();
                send(&Message::Token(generation));
            }
            Err(error) if error.kind() == ErrorKind::LoggedOut => {
                if !logged_out {
                    send(&Message::LoggedOut);
                }
                logged_out = true;
            }
            Err(error) if is_stale(&error) => {}
            Err(error) => send(&Message::Failed(format!("{error}: {error:?}"))),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    caller.session.flush().await;
    send(&Message::Done(caller.calls));
}

async fn report_stale_answers(mut events: Events<Event>) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Failed(error) if is_stale(&error)) {
            send(&Message::Stale);
        }
    }
}

fn is_stale(error: &Error) -> bool {
    error.to_string().contains("already expired")
}
