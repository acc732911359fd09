//! The revocation of a refresh token (RFC 7009).

use std::sync::Arc;
use std::time::Duration;

use super::credential::RefreshCredential;
use crate::authenticator::DynAuthenticator;
use crate::error::{Error, ErrorKind};

/// Revokes the refresh token of `credential`, if it has one. A failure is logged here, so callers
/// may ignore it: the token expires by itself.
///
/// # Errors
///
/// The server's error, or [`ErrorKind::Unanswered`] if the server does not answer within `timeout`.
pub(crate) async fn revoke(
    authenticator: &Arc<dyn DynAuthenticator>,
    credential: &RefreshCredential,
    timeout: Duration,
) -> Result<(), Error> {
    let Some(token) = credential.token() else { return Ok(()) };
    let revocation = Arc::clone(authenticator).revoke(token.clone());
    let answer = tokio::time::timeout(timeout, revocation).await.unwrap_or_else(|_| {
        let what = format!("the revocation was not answered within {} s", timeout.as_secs_f32());
        Err(Error::new(ErrorKind::Unanswered, what))
    });
    if let Err(error) = &answer {
        tracing::warn!(target: "jwt_refresh", action = "revoke", kind = ?error.kind(), %error, "failed");
    }
    answer
}
