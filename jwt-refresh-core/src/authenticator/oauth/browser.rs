//! A login by a person in a browser: authorization code with PKCE (RFC 6749 §4.1, RFC 7636).

use std::sync::Arc;

use huskarl::grant::authorization_code::{
    AuthorizationCodeGrant, CompleteInput, PendingState, StartInput, StartOutput,
};
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded::byte_serialize;

use super::exchange::Exchange;
use super::grant::AuthorizationCode;
use super::login::TokenRequest;
use super::redirect::{Callback, Listener, Redirect};
use super::verifier::Verifiers;
use crate::authenticator::time_limit;
use crate::error::{Error, ErrorKind};
use crate::token::Tokens;

impl TokenRequest<'_> {
    pub(super) async fn authorization_code(self, wanted: &AuthorizationCode) -> Result<Tokens, Error> {
        let (wire, exchange, settings) = (self.wire, Exchange::login(self.wire), self.settings);
        let listener = Redirect::parse(&wanted.redirect_uri)?.listen().await?;
        let (begun, until) = (Instant::now(), time_limit::persons_deadline());
        let pushes = self.metadata.pushed_authorization_request_endpoint.is_some();
        let grant = self.browser_grant(&exchange, &listener).await?;
        let start = StartInput::builder()
            .maybe_scope(settings.scope.clone())
            .maybe_resource(settings.authorized_resources())
            .maybe_acr_values(settings.acr_values.clone())
            .maybe_max_age(settings.max_age)
            .build();
        let started = grant.start(start).await.map_err(|error| exchange.failure(&error))?;
        let StartOutput { authorization_url, pending_state, .. } = started;
        // If the request is pushed, they are in there.
        let others = if pushes { Vec::new() } else { settings.other_parameters() };
        let authorization_url = with_parameters(authorization_url.to_string(), &others);
        // Whatever opens it does more with other schemes than show a page.
        wire.endpoint(&authorization_url)?;
        wanted.open(&authorization_url)?;

        let callback = timeout_at(until, listener.callback()).await;
        let callback = callback.map_err(|_| nobody_came(until - begun, listener.uri()))??;
        exchange.forget();
        let tokens = complete(&exchange, &grant, &pending_state, &callback, settings.resource.clone()).await;
        if tokens.is_ok() {
            callback.succeeded();
        } else {
            callback.failed();
        }
        tokens.map_err(|error| settings.grant.failed_after_login(error))
    }

    async fn browser_grant(self, exchange: &Exchange, listener: &Listener) -> Result<AuthorizationCodeGrant, Error> {
        let (others, dpop) = (self.settings.other_parameters(), Arc::clone(&self.dpop));
        let (metadata, client) = self.identified()?;
        let client = client.with_parameters(others);
        let grant = AuthorizationCodeGrant::builder_from_metadata(&metadata)
            .map_err(|error| exchange.failure(&error))?
            .client_id(client.client_id)
            .client_auth(client.method)
            .http_client(exchange.clone())
            .redirect_uri(listener.uri())
            .dpop(dpop)
            .clock(exchange.time())
            .jws_verifier_platform(Arc::new(Verifiers))
            .build();
        grant.await.map_err(|error| exchange.failure(&error))
    }
}

/// Exchanges the code that the browser brought.
async fn complete(
    exchange: &Exchange,
    grant: &AuthorizationCodeGrant,
    pending: &PendingState,
    callback: &Callback,
    resource: Option<Vec<String>>,
) -> Result<Tokens, Error> {
    let is_other = callback.parameter("state").is_none_or(|state| state != pending.state);
    let unfit = |detail: &str| {
        let error = Error::new(ErrorKind::LoginUnavailable, "the browser did not bring the answer to this login");
        let error = error.at(&pending.redirect_uri).detailed(detail);
        error.advising("log in again: `session.login()`")
    };
    // Checked by huskarl, too, which does not tell it from other failures.
    if is_other {
        return Err(unfit("its `state` is that of another login, or of none (RFC 6749 §10.12)"));
    }
    let input = CompleteInput::builder_from_callback(callback.target());
    let input = input.map_err(|_| unfit("it has neither a code nor an error (RFC 6749 §4.1.2)"))?;
    let completed = grant.complete(pending, input.maybe_resource(resource).build()).await;
    let error = match completed {
        Err(error) if !exchange.has_sent() => error,
        completed => return exchange.tokens(completed),
    };
    Err(match error.verdict() {
        Some(verdict) => refused(verdict.code().as_str()).at(&pending.redirect_uri),
        None => unfit("its `iss` is not the issuer (RFC 9207 §2.4), or what it says cannot be sent"),
    })
}

/// Returns the error for a login that the server or the person refused in the browser (RFC 6749
/// §4.1.2.1).
fn refused(code: &str) -> Error {
    match code {
        "temporarily_unavailable" | "server_error" => {
            Error::new(ErrorKind::Unavailable, "the server could not do the login").coded(code)
        }
        _ => Error::denied("the login was denied in the browser").coded(code),
    }
}

/// How the error of a login begins whose browser did not come back.
const NOBODY_CAME: &str = "nobody finished the login in the browser";

/// Returns whether `error` is that of a login whose browser did not come back.
pub(super) fn nobody_came_back(error: &Error) -> bool {
    error.kind() == ErrorKind::LoginUnavailable && error.what().starts_with(NOBODY_CAME)
}

fn nobody_came(waited: std::time::Duration, uri: &str) -> Error {
    let what = format!("{NOBODY_CAME} within {:.0} s", waited.as_secs_f32());
    let error = Error::new(ErrorKind::LoginUnavailable, what).at(uri);
    error.advising("give the person more time (`Policy::login_timeout`), and log in again: `session.login()`")
}

/// Adds parameters to the URL.
fn with_parameters(mut url: String, parameters: &[(&'static str, String)]) -> String {
    for (name, value) in parameters {
        let separator = if url.contains('?') { '&' } else { '?' };
        url.push(separator);
        url.extend([name, "="].into_iter().chain(byte_serialize(value.as_bytes())));
    }
    url
}
