//! A provider of tokens, and the rule for the requests that get them.

use std::sync::Arc;

use super::request_rule::RequestRule;

/// Gives requests an access token, and sends them once more with a newer one if it is rejected.
///
/// A clone costs two reference counts, if the provider is a [`Session`](crate::Session) or a
/// [`Pool`](crate::pool::Pool). A lease of a pool is held until the answer is dropped.
///
/// | with | use |
/// |---|---|
/// | reqwest | `execute`, or `blocking_execute` for its blocking client |
/// | reqwest-middleware (feature of that name) | `ClientBuilder::new(client).with(auth)` |
/// | hyper, tonic and all of tower (feature `tower`) | `ServiceBuilder::new().layer(auth)` |
/// | ureq (feature of that name) | `run`, in place of `Agent::run`, or `ureq_middleware` |
///
/// # How often a request is sent
///
/// Once, and once more if the answer [rejects](RequestRule::rejected_if) the token, a newer one can
/// be had and the request can be sent twice: not one whose body is a stream, and none in a
/// middleware of ureq. Otherwise the caller gets the answer that rejects the token, a debug event
/// of `tracing` says why it was not sent again, and `jwt_refresh_not_retried_total` of the feature
/// `metrics` counts it. If the newer token is rejected too, the caller gets that answer.
///
/// If the answer says what the token lacks (RFC 6750 §3.1, RFC 9470) and the provider can
/// [log in for that](crate::TokenProvider::step_up), the request is sent once more, too, after the
/// login and not after a renewal.
///
/// In a method with `#[refresh_token(retry)]` a request is sent as often as without it: one that
/// has the token from the method's `.bearer(&token)` is left to the method, and after one that was
/// sent twice in vain the method does not run again.
#[derive(Clone, Debug)]
pub struct RequestAuth<P> {
    provider: P,
    rule: Arc<RequestRule>,
}

impl<P> RequestAuth<P> {
    /// Gives the requests that `rule` admits a token of `provider`.
    pub fn new(provider: P, rule: impl Into<Arc<RequestRule>>) -> Self {
        Self { provider, rule: rule.into() }
    }

    /// Returns the provider.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// Returns the rule.
    pub(super) fn rule(&self) -> &RequestRule {
        &self.rule
    }
}
