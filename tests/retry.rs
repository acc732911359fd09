//! The option `retry` against a real server: what a rejected token costs, and what the caller gets.

mod support;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh::{Error, ErrorKind, Renewal};
use jwt_refresh_testkit::{Builder, Hints, TestServer, TokenFormat};
use reqwest::{Response, StatusCode};
use tokio::sync::{Barrier, Semaphore};

use support::{BoxError, SECOND, World, login};

struct Api {
    http: reqwest::Client,
    server: TestServer,
    session: Session,
}

#[refresh_token(token, retry)]
impl Api {
    /// Reports the status in an error.
    async fn product(&self, id: u64) -> Result<String, BoxError> {
        let request = self.http.get(self.server.url(&format!("/api/v1/products/{id}")));
        Ok(request.bearer(&token).send().await?.error_for_status()?.text().await?)
    }

    /// Reports the status in the response.
    async fn response(&self, id: String) -> Result<Response, reqwest_or_ours::Error> {
        let request = self.http.get(self.server.url(&format!("/api/v1/products/{id}")));
        Ok(request.bearer(&token).send().await?)
    }

    /// Answered with 403 `insufficient_scope`, whatever the token.
    async fn forbidden(&self) -> Result<(), BoxError> {
        let request = self.http.delete(self.server.url("/api/v1/products/1"));
        request.bearer(&token).send().await?.error_for_status()?;
        Ok(())
    }
}

mod reqwest_or_ours {
    #[derive(Debug)]
    pub(super) enum Error {
        Auth(jwt_refresh::Error),
        Http(reqwest::Error),
    }

    impl From<jwt_refresh::Error> for Error {
        fn from(error: jwt_refresh::Error) -> Self {
            Self::Auth(error)
        }
    }

    impl From<reqwest::Error> for Error {
        fn from(error: reqwest::Error) -> Self {
            Self::Http(error)
        }
    }

    impl jwt_refresh::Unauthorized for Error {
        fn is_unauthorized(&self) -> bool {
            match self {
                Self::Auth(error) => error.is_unauthorized(),
                Self::Http(error) => error.is_unauthorized(),
            }
        }
    }
}

impl Api {
    async fn logged_in() -> Arc<Self> {
        let server = TestServer::start();
        let session = Session::new(login(&server).build().unwrap());
        session.token().await.unwrap();
        Arc::new(Self { http: reqwest::Client::new(), server, session })
    }
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_and_the_body_runs_a_second_time() {
    let api = Api::logged_in().await;
    api.server.rotate_signing_key();
    api.product(1).await.unwrap();
    let stats = api.server.stats();
    assert_eq!((stats.rejected, stats.refreshes, stats.api_calls), (1, 1, 1));

    api.server.rotate_signing_key();
    assert_eq!(api.response("1".to_owned()).await.unwrap().status(), StatusCode::OK);
    let stats = api.server.stats();
    assert_eq!((stats.rejected, stats.refreshes, stats.api_calls), (2, 2, 2));
}

#[tokio::test]
async fn a_token_that_was_replaced_meanwhile_is_not_renewed_again() {
    struct Late<'a>(&'a Api);

    impl Late<'_> {
        /// Another call renews the token while the first run is under way. The API rejects the old
        /// one.
        #[refresh_token(from = self.0.session, token, retry)]
        async fn product(&self) -> Result<(), BoxError> {
            if token.generation() == 1 {
                self.0.server.rotate_signing_key();
                self.0.product(1).await?;
            }
            let request = self.0.http.get(self.0.server.url("/api/v1/products/1"));
            request.bearer(&token).send().await?.error_for_status()?;
            Ok(())
        }
    }

    let api = Api::logged_in().await;
    Late(&api).product().await.unwrap();
    let stats = api.server.stats();
    assert_eq!((stats.rejected, stats.refreshes, stats.api_calls), (2, 1, 2));
}

#[tokio::test]
async fn endless_rejections_cost_few_refreshes_and_end_in_an_error_that_says_so() {
    let api = Api::logged_in().await;
    api.server.reject_access_tokens(true);

    let error = api.product(1).await.unwrap_err();
    let ours = error.downcast_ref::<Error>().expect("an error of ours");
    assert_eq!(ours.kind(), ErrorKind::RejectedAsIssued);
    assert_eq!(
        error.to_string(),
        "the access token was rejected with 401, and so was the one that replaced it (status 401); check that the tokens \
         are meant for this API (audience, scope, signing key, clocks)"
    );
    assert_eq!(api.server.stats().rejected, 2);

    for _ in 0..1000 {
        let error = api.product(1).await.unwrap_err();
        assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::RejectedAsIssued));
    }
    let stats = api.server.stats();
    assert!(stats.refreshes <= 5, "{stats:?}");
    assert!(stats.rejected <= 10, "{stats:?}");
}

/// A server whose tokens die up to a second before `expires_in` says, because it rounds their
/// expiry down.
fn rounding_server() -> Builder {
    TestServer::builder()
        .access_lifetime(3 * SECOND)
        .token_format(TokenFormat::Opaque)
        .lifetime_hints(Hints::ExpiresIn)
        .whole_seconds(true)
}

#[tokio::test]
async fn a_server_that_rounds_expiry_down_fails_no_call() {
    let world = World::with(rounding_server().start());
    let session = world.session().connect().await.unwrap();
    let calls = RoundedCalls { world: &world, http: reqwest::Client::new(), session };
    for step in 0..1200 {
        world.pass(SECOND / 20);
        let result = calls.product().await;
        assert!(result.is_ok(), "call {step}: {}", result.unwrap_err());
    }
    let stats = calls.session.stats();
    assert_eq!((stats.logins, stats.failures), (1, 0));
    // 60 s in lives of 2 to 3 s.
    assert!((20..=35).contains(&stats.refreshes), "{stats:?}");
}

struct RoundedCalls<'a> {
    world: &'a World,
    http: reqwest::Client,
    session: Session,
}

impl RoundedCalls<'_> {
    #[refresh_token(token, retry)]
    async fn product(&self) -> Result<(), BoxError> {
        let request = self.http.get(self.world.server.url("/api/v1/products/1"));
        request.bearer(&token).send().await?.error_for_status()?;
        Ok(())
    }
}

#[tokio::test]
async fn a_token_with_which_a_call_has_gone_well_was_not_rejected_as_issued() {
    let api = Api::logged_in().await;
    for _ in 0..20 {
        api.product(1).await.unwrap();
        // Any answer but a 401 shows that the API takes the token.
        api.forbidden().await.unwrap_err();
        api.server.rotate_signing_key();
    }
    assert_eq!(api.server.stats().rejected, 19);
}

#[tokio::test]
async fn an_explicit_login_clears_the_count_of_rejections() {
    let api = Api::logged_in().await;
    api.server.reject_access_tokens(true);
    for _ in 0..5 {
        api.product(1).await.unwrap_err();
    }
    api.session.login().await.unwrap();
    api.product(1).await.unwrap_err();
    api.server.reject_access_tokens(false);
    api.product(1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_that_are_rejected_at_once_make_one_refresh() {
    const CALLS: usize = 10_000;

    struct Crowd {
        api: Arc<Api>,
        /// Each call waits here until all have a token.
        ready: Barrier,
        /// Limits how many calls have a connection at once.
        connections: Semaphore,
    }

    impl Crowd {
        #[refresh_token(from = self.api.session, token, retry)]
        async fn product(&self) -> Result<(), BoxError> {
            if token.generation() == 1 {
                self.ready.wait().await;
            }
            let _connection = self.connections.acquire().await?;
            let request = self.api.http.get(self.api.server.url("/api/v1/products/1"));
            request.bearer(&token).send().await?.error_for_status()?;
            Ok(())
        }
    }

    let api = Api::logged_in().await;
    api.server.rotate_signing_key();
    let crowd = Crowd { api: Arc::clone(&api), ready: Barrier::new(CALLS), connections: Semaphore::new(100) };
    let crowd = Arc::new(crowd);
    let call = |_| {
        let crowd = Arc::clone(&crowd);
        tokio::spawn(async move { crowd.product().await })
    };
    let calls: Vec<_> = (0..CALLS).map(call).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let stats = api.server.stats();
    assert_eq!((stats.refreshes, stats.rejected, stats.api_calls), (1, CALLS as u64, CALLS as u64));
}

#[tokio::test]
async fn a_403_is_not_retried() {
    let api = Api::logged_in().await;
    let error = api.forbidden().await.unwrap_err();
    assert_eq!(error.downcast_ref::<reqwest::Error>().and_then(reqwest::Error::status), Some(StatusCode::FORBIDDEN));
    let stats = api.server.stats();
    assert_eq!((stats.forbidden, stats.refreshes, stats.rejected), (1, 0, 0));
}

#[tokio::test]
async fn the_error_of_a_refresh_that_fails_after_a_401_is_returned() {
    let api = Api::logged_in().await;
    api.server.rotate_signing_key();
    api.server.revoke_refresh_tokens();
    api.server.set_password(api.server.email(), "changed");
    let error = api.product(1).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::ReauthenticationRequired));
}

/// A custom provider, which counts what it is asked.
#[derive(Default)]
struct Counting {
    fresh: AtomicU64,
    rejected: AtomicU64,
    rejected_again: AtomicU64,
}

impl TokenProvider for Counting {
    type Token = AccessToken;

    fn fresh(&self) -> Renewal<AccessToken> {
        self.fresh.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(AccessToken::new("old")?.of_generation(1)) })
    }

    fn rejected(&self, token: &AccessToken) -> Renewal<AccessToken> {
        assert_eq!(token.generation(), 1);
        self.rejected.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(AccessToken::new("new")?.of_generation(2)) })
    }

    fn rejected_again(&self, token: &AccessToken) {
        assert_eq!(token.generation(), 2);
        self.rejected_again.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_provider_is_told_of_the_rejection_and_its_expression_runs_once_a_call() {
    struct Custom {
        provider: Counting,
        evaluated: AtomicU64,
        runs: AtomicU64,
    }

    impl Custom {
        fn provider(&self) -> &Counting {
            self.evaluated.fetch_add(1, Ordering::Relaxed);
            &self.provider
        }

        #[refresh_token(from = self.provider(), token, retry_if = is_old)]
        async fn call(&self, name: String) -> Result<String, Error> {
            self.runs.fetch_add(1, Ordering::Relaxed);
            Ok(name + token.expose())
        }
    }

    fn is_old(result: &Result<String, Error>) -> bool {
        matches!(result, Ok(name) if name.ends_with("old"))
    }

    let custom = Custom { provider: Counting::default(), evaluated: AtomicU64::new(0), runs: AtomicU64::new(0) };
    assert_eq!(custom.call("token ".to_owned()).await.unwrap(), "token new");
    let counted = [&custom.provider.fresh, &custom.provider.rejected, &custom.evaluated, &custom.runs];
    assert_eq!(counted.map(|count| count.load(Ordering::Relaxed)), [1, 1, 1, 2]);
}

#[tokio::test]
async fn a_provider_is_told_of_the_second_rejection_and_not_asked_for_another_token() {
    struct Custom(Counting);

    impl Custom {
        #[refresh_token(from = self.0, token, retry_if = always)]
        async fn call(&self) -> Result<String, Error> {
            Ok(token.expose().to_owned())
        }

        #[cfg(feature = "blocking")]
        #[refresh_token(from = self.0, token, retry_if = always)]
        fn plain_call(&self) -> Result<String, Error> {
            Ok(token.expose().to_owned())
        }
    }

    fn always(_: &Result<String, Error>) -> bool {
        true
    }

    let counts = |Custom(provider): &Custom| {
        let counted = [&provider.fresh, &provider.rejected, &provider.rejected_again];
        counted.map(|count| count.load(Ordering::Relaxed))
    };
    let custom = Custom(Counting::default());
    assert_eq!(custom.call().await.unwrap_err().kind(), ErrorKind::RejectedAsIssued);
    assert_eq!(counts(&custom), [1, 1, 1]);
    #[cfg(feature = "blocking")]
    {
        let custom = Custom(Counting::default());
        assert_eq!(custom.plain_call().unwrap_err().kind(), ErrorKind::RejectedAsIssued);
        assert_eq!(counts(&custom), [1, 1, 1]);
    }
}

/// Logs in with an annotated method of the session that is logging in.
#[derive(Clone, Default)]
struct Reentrant(Arc<OnceLock<Session>>);

impl Reentrant {
    #[refresh_token(from = self.0.get().expect("a session"), token, retry)]
    async fn whoami(&self) -> Result<String, Error> {
        Ok(token.expose().to_owned())
    }
}

impl Authenticator for Reentrant {
    async fn login(&self) -> Result<Tokens, Error> {
        Tokens::new(self.whoami().await?)
    }
}

#[tokio::test]
async fn a_login_that_calls_an_annotated_method_gets_an_error_at_once() {
    let reentrant = Reentrant::default();
    let session = reentrant.0.get_or_init(|| Session::new(reentrant.clone()));
    let error = tokio::time::timeout(Duration::from_secs(20), session.token()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("do not call an annotated method"), "{error}");
    assert!(reentrant.whoami().await.is_err());
}

/// Returns errors of an API in which no type is known, as a generated client does.
struct Opaque {
    session: Session,
}

#[derive(Debug)]
enum OpaqueError {
    Auth(Error),
    Unauthorized,
}

impl fmt::Display for OpaqueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for OpaqueError {}

impl From<Error> for OpaqueError {
    fn from(error: Error) -> Self {
        Self::Auth(error)
    }
}

#[refresh_token(retry)]
impl Opaque {
    async fn opaque_product(&self) -> Result<(), OpaqueError> {
        Err(OpaqueError::Unauthorized)
    }

    async fn opaque_boxed(&self) -> Result<(), BoxError> {
        Err(OpaqueError::Unauthorized.into())
    }

    #[refresh_token(retry_if = is_opaque_401)]
    async fn asked(&self) -> Result<(), OpaqueError> {
        Err(OpaqueError::Unauthorized)
    }
}

fn is_opaque_401(error: &OpaqueError) -> bool {
    matches!(error, OpaqueError::Unauthorized)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_method_whose_errors_can_show_no_401_is_told_of_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let world = World::new();
    let opaque = Opaque { session: world.session().connect().await.unwrap() };

    for _ in 0..3 {
        assert!(matches!(opaque.opaque_product().await, Err(OpaqueError::Unauthorized)));
        opaque.opaque_boxed().await.unwrap_err();
    }
    assert_eq!(log.count("found nothing in an error that can show a 401"), 2);
    assert_eq!(log.count("method=\"opaque_product\""), 1);
    assert_eq!(log.count("method=\"opaque_boxed\""), 1);
    assert_eq!(world.server.stats().refreshes, 0);

    let error = opaque.asked().await.unwrap_err();
    assert!(matches!(error, OpaqueError::Auth(error) if error.kind() == ErrorKind::RejectedAsIssued));
    assert_eq!(log.count("found nothing in an error that can show a 401"), 2);
    assert_eq!(world.server.stats().refreshes, 1);
}

struct Sizes {
    session: Session,
}

impl Sizes {
    #[refresh_token(token)]
    async fn borrowing(&self, id: u64, name: &str) -> Result<usize, Error> {
        tokio::task::yield_now().await;
        Ok(token.expose().len() + name.len() + usize::try_from(id).unwrap_or(0))
    }

    #[refresh_token(token, retry)]
    async fn borrowing_again(&self, id: u64, name: &str) -> Result<usize, Error> {
        tokio::task::yield_now().await;
        Ok(token.expose().len() + name.len() + usize::try_from(id).unwrap_or(0))
    }

    #[refresh_token(token)]
    async fn exclusive(&mut self, out: &mut Vec<u8>) -> Result<usize, Error> {
        tokio::task::yield_now().await;
        out.extend(token.expose().bytes());
        Ok(out.len())
    }

    #[refresh_token(token, retry)]
    async fn exclusive_again(&mut self, out: &mut Vec<u8>) -> Result<usize, Error> {
        tokio::task::yield_now().await;
        out.extend(token.expose().bytes());
        Ok(out.len())
    }

    #[refresh_token(token)]
    async fn owning(&self, page: [u8; 200]) -> Result<usize, Error> {
        let large = [1; 4000];
        tokio::task::yield_now().await;
        Ok(token.expose().len() + page.len() + large.len())
    }

    #[refresh_token(token, retry)]
    async fn owning_again(&self, page: [u8; 200]) -> Result<usize, Error> {
        let large = [1; 4000];
        tokio::task::yield_now().await;
        Ok(token.expose().len() + page.len() + large.len())
    }
}

#[test]
fn a_future_with_retry_is_at_most_64_bytes_larger_than_without_and_what_it_keeps_of_arguments() {
    fn added(without: usize, with: usize) -> usize {
        with.saturating_sub(without)
    }

    let mut sizes = Sizes { session: Session::new(Reentrant::default()) };
    let [without, with] = [size_of_val(&sizes.borrowing(1, "")), size_of_val(&sizes.borrowing_again(1, ""))];
    assert!(added(without, with) <= 64, "{without} and {with} bytes");
    let mut out = Vec::new();
    let without = size_of_val(&sizes.exclusive(&mut out));
    let with = size_of_val(&sizes.exclusive_again(&mut out));
    assert!(added(without, with) <= 64, "{without} and {with} bytes");
    let [without, with] = [size_of_val(&sizes.owning([0; 200])), size_of_val(&sizes.owning_again([0; 200]))];
    assert!(added(without, with) <= 64 + size_of::<[u8; 200]>(), "{without} and {with} bytes");
}
