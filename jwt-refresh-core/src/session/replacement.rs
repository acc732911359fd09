//! What replaces all that a session holds, because the user said so: tokens of the user's, or none.

use std::sync::Arc;

use super::record::Record;
use super::shared::SessionShared;
use crate::error::Error;
use crate::renewal::{IssuedTokens, revoke};
use crate::token::Tokens;

impl SessionShared {
    /// Logs out here, in the store, and at the server, in this order: the logout holds even where the
    /// later steps fail.
    pub(super) async fn log_out(self: Arc<Self>) -> Result<(), Error> {
        let credential = self.log_out_here();
        let stored = self.overwrite(Record::logged_out).await;
        let theirs = stored.as_ref().ok().and_then(|record| record.as_ref()?.credential().cloned());
        let credential = theirs.unwrap_or(credential);
        let revoked = revoke(&self.authenticator, &credential, self.policy().refresh_timeout).await;
        stored.map(drop).and(revoked)
    }

    /// Takes tokens of the user's, here and in the store.
    pub(super) async fn adopt(self: Arc<Self>, tokens: Tokens) -> Result<(), Error> {
        let captured = |sequence, now| IssuedTokens::captured(self.policy(), tokens, now, sequence);
        let issued = self.cell.adopt(captured);
        let record = |sequence| {
            let sequence = issued.sequence.max(sequence + 1);
            Record::of(&IssuedTokens { sequence, ..issued.clone() }, self.cell.clock.moment())
        };
        self.overwrite(record).await.map(drop)
    }
}
