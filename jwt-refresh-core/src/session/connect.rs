//! How a session that was asked to connect comes by its first token: from what it was built with,
//! from the store, by a refresh, or by a login.

use std::sync::Arc;

use super::account_store::{must_be_left_alone, store_failure};
use super::shared::SessionShared;
use crate::error::{Error, ErrorKind};
use crate::renewal::Plan;
use crate::runtime;
use crate::token::Tokens;

impl SessionShared {
    /// Makes sure that there is a token. `captured` is what the session was built with.
    pub(super) fn connect(
        self: Arc<Self>,
        captured: Option<Tokens>,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        runtime::run(async move {
            Arc::clone(&self).begin_from_store(captured).await?;
            match self.fresh().await {
                // The user starts the session now, so a logout from before does not hold.
                Err(error) if error.kind() == ErrorKind::LoggedOut => self.renew_now(Plan::LogIn).await.map(drop),
                token => token.map(drop),
            }
        })
    }

    /// Takes over what the store has. If it cannot be read, that is no failure yet: there may be a
    /// live token, and a renewal says what is wrong with the store.
    pub(super) async fn begin_from_store(self: Arc<Self>, captured: Option<Tokens>) -> Result<(), Error> {
        let Some(store) = &self.store else { return Ok(()) };
        let record = match self.load(store).await {
            Ok(found) => found.record,
            Err(error) if must_be_left_alone(&error) => return Err(store_failure(&error)),
            Err(_) => return Ok(()),
        };
        let Some(record) = record else { return Ok(()) };
        if !record.is_logged_out() {
            self.follow_tokens(store, &record);
            return Ok(());
        }
        let is_used = |tokens: &Tokens| tokens.refresh.as_ref().is_some_and(|token| record.has_used(token));
        if let Some(tokens) = captured.filter(|tokens| !is_used(tokens)) {
            return Arc::clone(&self).adopt(tokens).await;
        }
        self.log_out_locally();
        Ok(())
    }
}
