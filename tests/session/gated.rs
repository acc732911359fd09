//! An authenticator whose logins wait for the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jwt_refresh::{Authenticator, Error, Tokens};
use tokio::sync::Notify;

use crate::support::HOUR;

/// Each login waits until the test lets it go on. The `n`th brings `token-n`.
#[derive(Default)]
pub(super) struct Gated {
    logins: AtomicU32,
    pub(super) entered: Notify,
    pub(super) go_on: Notify,
}

impl Gated {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }
}

impl Authenticator for Gated {
    async fn login(&self) -> Result<Tokens, Error> {
        let count = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        self.entered.notify_one();
        self.go_on.notified().await;
        Ok(Tokens::new(format!("token-{count}"))?.expires_in(HOUR))
    }
}
