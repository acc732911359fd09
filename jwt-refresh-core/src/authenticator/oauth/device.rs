//! A login by a person on another device (RFC 8628).

use std::sync::Arc;
use std::time::Duration;

use huskarl::grant::device_authorization::{DeviceAuthorizationGrant, PendingState, PollError, PollResult, StartInput};
use tokio::time::{Instant, sleep};

use super::device_code::DeviceCode;
use super::exchange::Exchange;
use super::login::TokenRequest;
use crate::authenticator::time_limit;
use crate::error::{Error, ErrorKind};
use crate::token::Tokens;

/// The longest pause between two questions, unless the server asks for a longer one, in seconds.
const LONGEST_INTERVAL: u32 = 60;

/// Until when the server is asked, and why no longer.
struct PollLimit {
    until: Instant,
    /// What is said when that has passed.
    what: String,
}

impl TokenRequest<'_> {
    pub(super) async fn device_code(self, show: &(dyn Fn(&DeviceCode) + Send + Sync)) -> Result<Tokens, Error> {
        let (exchange, settings, dpop) = (Exchange::login(self.wire), self.settings, Arc::clone(&self.dpop));
        let until = time_limit::persons_deadline();
        let (metadata, client) = self.identified()?;
        let client = client.with_parameters(settings.other_parameters());
        let grant = DeviceAuthorizationGrant::builder_from_metadata(&metadata)
            .map_err(|error| exchange.failure(&error))?
            .client_id(client.client_id)
            .client_auth(client.method)
            .http_client(exchange.clone())
            .dpop(dpop)
            .clock(exchange.time())
            .build();
        let start = StartInput::builder()
            .maybe_scope(settings.scope.clone())
            .maybe_resource(settings.authorized_resources())
            .build();
        let started = grant.start(start).await.map_err(|error| exchange.failure(&error))?;
        let code = DeviceCode {
            user_code: started.user_code,
            verification_uri: started.verification_uri,
            verification_uri_complete: started.verification_uri_complete,
            expires_in: started.expires_at.duration_since(exchange.time().now().into()).unwrap_or_default(),
        };
        let limit = PollLimit::of(&code, until);
        show(&code);
        let tokens = poll(&exchange, &grant, started.pending_state, settings.resource.as_deref(), limit).await;
        tokens.map_err(|error| settings.grant.failed_after_login(error))
    }
}

impl PollLimit {
    fn of(code: &DeviceCode, until: Instant) -> Self {
        let now = Instant::now();
        match now.checked_add(code.expires_in) {
            Some(expiry) if expiry <= until => Self { until: expiry, what: expired() },
            _ => {
                let waited = until.saturating_duration_since(now).as_secs_f32();
                Self { until, what: format!("nobody entered the device code within {waited:.0} s") }
            }
        }
    }

    fn passed(self) -> Error {
        let error = Error::new(ErrorKind::LoginUnavailable, self.what);
        error.advising("give the person more time (`Policy::login_timeout`), and log in again: `session.login()`")
    }
}

fn expired() -> String {
    "the device code expired before it was entered".to_owned()
}

/// Asks the server again and again whether the person has entered the code (RFC 8628 §3.4).
async fn poll(
    exchange: &Exchange,
    grant: &DeviceAuthorizationGrant,
    mut pending: PendingState,
    resource: Option<&[String]>,
    limit: PollLimit,
) -> Result<Tokens, Error> {
    // Why the server did not answer when it was last asked.
    let mut failure: Option<Error> = None;
    loop {
        let interval = Duration::from_secs(pending.interval_secs.max(1).into());
        let pause = interval.max(failure.as_ref().and_then(Error::retry_after).unwrap_or_default());
        if Instant::now().checked_add(pause).is_none_or(|next| next > limit.until) {
            return Err(failure.unwrap_or_else(|| limit.passed()));
        }
        sleep(pause).await;
        exchange.forget();
        // `slow_down` lengthens the interval.
        let error = match grant.poll(&mut pending, resource.map(<[_]>::to_vec)).await {
            Ok(PollResult::Complete(answer)) => return exchange.tokens(Ok(answer)),
            Ok(PollResult::Pending) => {
                failure = None;
                continue;
            }
            Err(PollError::TokenExpired) => return Err(PollLimit { what: expired(), ..limit }.passed()),
            Err(PollError::Exchange { source }) => exchange.failure(&source),
            // Denied by the person; the answer says so.
            Err(_) => exchange.refusal(),
        };
        if !error.is_transient() {
            return Err(error);
        }
        // RFC 8628 §3.5: less and less often while the server does not answer.
        pending.interval_secs =
            pending.interval_secs.max(pending.interval_secs.saturating_mul(2).min(LONGEST_INTERVAL));
        failure = Some(error);
    }
}
