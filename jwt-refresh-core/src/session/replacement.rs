//! Logout and adoption, which replace all tokens of a session because the user said so.

use std::sync::Arc;

use super::record::Record;
use super::shared::SessionShared;
use crate::error::Error;
use crate::renewal::{IssuedTokens, RefreshCredential, revoke};
use crate::runtime;
use crate::token::Tokens;

impl SessionShared {
    /// Logs out in this process, in the store, and at the server, in this order, so that the logout
    /// holds even if a later step fails.
    pub(super) fn log_out(self: Arc<Self>) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let credential = self.log_out_locally();
        runtime::run(async move { self.log_out_elsewhere(credential).await })
    }

    async fn log_out_elsewhere(&self, credential: RefreshCredential) -> Result<(), Error> {
        let stored = self.overwrite(Record::logged_out).await;
        if let Some(store) = &self.store
            && let Err(error) = store.delete_corrupt(self.policy()).await
        {
            tracing::warn!(target: "jwt_refresh", %error, "copies of corrupt entries may outlive the logout");
        }
        let stored_credential = stored.as_ref().ok().and_then(|record| record.as_ref()?.credential().cloned());
        let credential = stored_credential.unwrap_or(credential);
        let revoked = revoke(&self.authenticator, &credential, self.policy().refresh_timeout).await;
        stored.map(drop).and(revoked)
    }

    /// Replaces the tokens with the user's, in this process and in the store.
    pub(super) fn adopt(self: Arc<Self>, tokens: Tokens) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let captured = |sequence, now| IssuedTokens::captured(self.policy(), tokens, now, sequence);
        let issued = self.cell.adopt(captured);
        self.forget_refused_login();
        runtime::run(async move { self.write_adopted(issued).await })
    }

    async fn write_adopted(&self, issued: IssuedTokens) -> Result<(), Error> {
        let record = |sequence| {
            let sequence = issued.sequence.max(sequence + 1);
            Record::of(&IssuedTokens { sequence, ..issued.clone() }, self.cell.clock.moment())
        };
        self.overwrite(record).await.map(drop)
    }
}
