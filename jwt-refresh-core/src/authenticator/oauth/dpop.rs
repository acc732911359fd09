//! Tokens that are bound to a key (DPoP, RFC 9449). huskarl proves the key to the server, and sends
//! a request once more if the server asks for a nonce.

use std::sync::Arc;

use huskarl::core::dpop::{AuthorizationServerDPoP, NoDPoP, SessionKeyedDPoP};
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::token::{ProofKey, Tokens};

/// Returns what makes the proofs of one exchange.
pub(super) fn proving(
    proofs: &SessionKeyedDPoP,
    key: Option<&ProofKey>,
) -> Result<Arc<dyn AuthorizationServerDPoP>, Error> {
    let Some(key) = key else { return Ok(Arc::new(NoDPoP)) };
    proofs.with_session_key(key.signer()).map_err(|error| {
        let error = format!("{error:#}");
        Error::new(ErrorKind::Configuration, "no DPoP proof can be made").detailed(error)
    })
}

/// Returns whether the server has bound the access token to a key (RFC 9449 §5).
pub(super) fn is_bound(tokens: &Tokens) -> bool {
    match tokens.extra("token_type") {
        Some(Value::String(token_type)) => token_type.eq_ignore_ascii_case("DPoP"),
        _ => false,
    }
}

/// Returns the error for an answer whose access token is bound to no key. The server has acted on
/// the request all the same.
pub(super) fn unbound(kind: ErrorKind, action: &str) -> Error {
    let error = Error::new(kind, format!("the {action} brought a token that is bound to no key"));
    let error = error.detailed("its `token_type` is not `DPoP`");
    error.advising("let the server issue DPoP tokens to this client, or leave out `dpop()`")
}
