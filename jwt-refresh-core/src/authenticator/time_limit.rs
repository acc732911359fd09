//! The time-out of a login, refresh or revocation. It is the policy's, and it is the only one: an
//! authenticator has none of its own, so one that several sessions share keeps to the policy of
//! each. What an authenticator adds is where it was waiting, so that the error can say so.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
#[cfg(feature = "reqwest")]
use crate::policy::DEFAULT_TIMEOUT;
use crate::provider::Renewal;

/// How long a person may take if no policy says so.
#[cfg(feature = "oauth")]
const LONGEST_FOR_PERSON: Duration = Duration::from_secs(600);
/// How much of a login remains for the requests after the part of a person, at most a quarter.
#[cfg(feature = "oauth")]
const RESERVE_FOR_REQUESTS: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// The endpoint that the current request waits for, if it waits for one.
    static WAITS_FOR: RefCell<Option<String>>;
    /// When the time of the current request is up.
    static DEADLINE: Instant;
}

/// As long as any time-out: 30 years.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Waits for `request`, for as long as the policy allows. `action` names it in the error.
pub(crate) async fn within_timeout<T>(action: &str, timeout: Duration, request: Renewal<T>) -> Result<T, Error> {
    // A time-out may be too long for a clock.
    let deadline = Instant::now().checked_add(timeout).unwrap_or_else(|| Instant::now() + LONGEST_TIMEOUT);
    let request = DEADLINE.scope(deadline, request);
    let mut request = Box::pin(WAITS_FOR.scope(RefCell::default(), request));
    let answer = tokio::time::timeout(timeout, request.as_mut()).await;
    answer.unwrap_or_else(|_| {
        let endpoint = request.as_mut().take_value().and_then(RefCell::into_inner);
        Err(endpoint.into_iter().fold(unanswered(action, timeout), Error::at))
    })
}

/// Waits for the answer of `endpoint`. A call of an authenticator that is not made for a session or
/// a pool has the default time-out.
#[cfg(feature = "reqwest")]
pub(super) async fn wait_for<T>(
    action: &str,
    endpoint: &str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let waits_for = |endpoint: Option<&str>| WAITS_FOR.try_with(|slot| slot.replace(endpoint.map(str::to_owned)));
    if waits_for(Some(endpoint)).is_err() {
        let answer = tokio::time::timeout(DEFAULT_TIMEOUT, answer).await;
        return answer.unwrap_or_else(|_| Err(unanswered(action, DEFAULT_TIMEOUT).at(endpoint)));
    }
    let answer = answer.await;
    let _ = waits_for(None);
    answer
}

/// Waits for what has to be there before the request can be sent, at most half of the time that the
/// request has left, so that the time-out does not end it while nothing has been sent. Returns the
/// time that it had if that was not enough.
#[cfg(feature = "reqwest")]
pub(super) async fn before_request<T>(preparation: impl Future<Output = T>) -> Result<T, Duration> {
    let left = DEADLINE.try_with(|deadline| deadline.saturating_duration_since(Instant::now()));
    let most = left.unwrap_or(DEFAULT_TIMEOUT) / 2;
    tokio::time::timeout(most, preparation).await.map_err(|_| most)
}

/// Returns until when a person may take for their part of a login: for as long as the login has
/// left, but for what the requests after it may need. If it was called by itself, that is ten
/// minutes.
#[cfg(feature = "oauth")]
pub(super) fn persons_deadline() -> Instant {
    let now = Instant::now();
    let Ok(deadline) = DEADLINE.try_with(|deadline| *deadline) else { return now + LONGEST_FOR_PERSON };
    let left = deadline.saturating_duration_since(now);
    now + left.saturating_sub((left / 4).min(RESERVE_FOR_REQUESTS))
}

fn unanswered(action: &str, timeout: Duration) -> Error {
    let what = format!("the {action} was not answered within {} s", timeout.as_secs_f32());
    Error::new(ErrorKind::Unanswered, what)
}

#[cfg(feature = "reqwest")]
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::authenticator::{Authenticator, DynAuthenticator, HttpAuthenticator, HttpClient};

    /// A server that takes every request and answers none, and an authenticator for it.
    async fn silent(client: impl Into<HttpClient>) -> (TcpListener, HttpAuthenticator) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/login?key=S3cret", listener.local_addr().unwrap());
        (listener, HttpAuthenticator::builder(url).client(client).build().unwrap())
    }

    fn assert_names_the_endpoint(error: &Error, seconds: u64) {
        assert_eq!(error.kind(), ErrorKind::Unanswered);
        let shown = error.to_string();
        let begin = format!("the login was not answered within {seconds} s at http://127.0.0.1:");
        assert!(shown.starts_with(&begin) && shown.contains("/login;"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_policys_timeout_counts_shorter_or_longer_for_each_that_shares_an_authenticator() {
        let short = Duration::from_secs(1);
        // What the user's client is set to does not count.
        let client = move || reqwest::Client::builder().timeout(short).read_timeout(short);
        let (_listener, http) = silent(client).await;
        let shared: Arc<dyn DynAuthenticator> = Arc::new(http);
        let waits = [2, 29, 31, 3600].map(|seconds| {
            let request = Arc::clone(&shared).login();
            async move {
                let begun = Instant::now();
                let timeout = Duration::from_secs(seconds);
                let error = within_timeout("login", timeout, request).await.unwrap_err();
                assert_names_the_endpoint(&error, seconds);
                assert!((timeout..timeout + Duration::from_millis(10)).contains(&begun.elapsed()), "{seconds} s");
            }
        });
        let [first, second, third, fourth] = waits;
        tokio::join!(first, second, third, fourth);
    }

    #[tokio::test(start_paused = true)]
    async fn an_authenticator_that_is_called_by_itself_has_the_default_timeout() {
        let (_listener, http) = silent(reqwest::Client::builder).await;
        let begun = Instant::now();
        assert_names_the_endpoint(&http.login().await.unwrap_err(), 30);
        assert_eq!(begun.elapsed().as_secs(), DEFAULT_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_after_the_answer_does_not_name_the_endpoint() {
        let request: Renewal<()> = Box::pin(async {
            wait_for("login", "http://127.0.0.1/login", async { Ok(()) }).await?;
            std::future::pending().await
        });
        let error = within_timeout("login", Duration::from_secs(1), request).await.unwrap_err();
        assert_eq!(error.endpoint(), None);
    }
}
