//! The revocation of a refresh token (RFC 7009).

use std::sync::Arc;
use std::time::Duration;

use super::credential::RefreshCredential;
use crate::authenticator::{DynAuthenticator, within_timeout};
use crate::error::Error;

/// Revokes the refresh token of `credential`, if it has one. A failure is logged here, so callers
/// may ignore it: the token expires by itself.
///
/// # Errors
///
/// The server's error, or [`ErrorKind::Unanswered`](crate::error::ErrorKind::Unanswered) if the
/// server does not answer within `timeout`.
pub(crate) async fn revoke(
    authenticator: &Arc<dyn DynAuthenticator>,
    credential: &RefreshCredential,
    timeout: Duration,
) -> Result<(), Error> {
    let Some(token) = credential.token() else { return Ok(()) };
    let revocation = Arc::clone(authenticator).revoke(token.clone());
    let answer = within_timeout("revocation", timeout, revocation).await;
    if let Err(error) = &answer {
        tracing::warn!(target: "jwt_refresh", action = "revoke", kind = ?error.kind(), %error, "failed");
    }
    answer
}
