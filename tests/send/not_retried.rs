//! What is told of a request that was rejected and is not sent again.

use std::io::Write;
use std::sync::{Arc, Mutex};

use jwt_refresh::RequestAuth;
use jwt_refresh_testkit::{Endpoint, Fault, Times};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::PRODUCT;
use crate::support::{World, http_client};

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Logs what this thread does until the guard is dropped.
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_writer(log.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The counter of this process, to which other tests add too.
#[cfg(feature = "metrics")]
pub(crate) fn counted() -> u64 {
    crate::support::Recorded::here().counters().get("jwt_refresh_not_retried_total").copied().unwrap_or_default()
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn counted() -> u64 {
    u64::MAX
}

#[tokio::test]
async fn a_body_that_can_be_had_only_once_is_counted_and_logged_without_the_token() {
    let (log, _guard) = Log::start();
    let before = counted();
    let world = World::new();
    let session = world.logged_in().await;
    let token = session.token().await.unwrap();
    world.server.rotate_signing_key();
    let http = http_client();
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("a")]);
    let request = http.get(world.server.url(PRODUCT)).body(reqwest::Body::wrap_stream(pieces)).build().unwrap();
    assert_eq!(session.execute(&http, request).await.unwrap().status(), 401);
    let text = log.text();
    assert!(text.contains("the body of the request can be had only once"), "{text}");
    assert!(!text.contains(token.expose()), "{text}");
    assert!(counted() > before || cfg!(not(feature = "metrics")));
}

#[tokio::test]
async fn a_renewal_that_fails_is_the_error_of_execute_and_is_logged() {
    let (log, _guard) = Log::start();
    let before = counted();
    let world = World::new();
    let session = world.logged_in().await;
    world.server.rotate_signing_key();
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    let http = http_client();
    let request = http.get(world.server.url(PRODUCT)).build().unwrap();
    let error = session.execute(&http, request).await.unwrap_err();
    let jwt_refresh::ExecuteError::Auth(error) = error else { panic!("an error of ours") };
    assert_eq!(error.kind(), jwt_refresh::ErrorKind::Unavailable);
    assert!(log.text().contains("there is no newer token"), "{}", log.text());
    assert!(counted() > before || cfg!(not(feature = "metrics")));
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn the_middleware_hands_the_401_on_if_the_renewal_fails() {
    let world = World::new();
    let session = world.logged_in().await;
    world.server.rotate_signing_key();
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    let client = crate::clients::middleware(RequestAuth::new(session, world.rule()));
    assert_eq!(client.get(world.server.url(PRODUCT)).send().await.unwrap().status(), 401);
    // The token is known to be rejected now, so the next request is not sent.
    let error = client.get(world.server.url(PRODUCT)).send().await.unwrap_err();
    assert!(error.is_middleware(), "{error}");
    assert_eq!(world.server.stats().rejected, 1);
}

#[tokio::test]
async fn a_request_without_a_token_is_logged_with_its_origin_and_nothing_secret() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let other = World::new();
    let auth = RequestAuth::new(world.session().build(), world.rule());
    let http = http_client();
    let url = other.server.url(PRODUCT).replace("http://", "http://ada:S3cret@") + "?key=S3cret";
    auth.execute(&http, http.get(url).build().unwrap()).await.unwrap();
    let text = log.text();
    let port = other.server.addr().port();
    assert!(text.contains("its origin is not named") && text.contains(&format!("127.0.0.1:{port}")), "{text}");
    let ours: Vec<_> = text.lines().filter(|line| line.contains("jwt_refresh")).collect();
    assert!(ours.iter().all(|line| !line.contains("S3cret")), "{ours:?}");
}
