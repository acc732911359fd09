//! A login in a real browser, against the test kit.

#[path = "../src/browser_login.rs"]
mod browser_login;

use std::time::{Duration, Instant};

use browser_login::BrowserLogin;
use jwt_refresh::{ErrorKind, HttpAuthenticator, ManualClock, Policy, Secret, Session};
use jwt_refresh_testkit::{Answer, Rotation, Route, TestServer};

const LIFETIME: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    server: TestServer,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let page = Route::get("/login", |_| Answer::new(200).body("text/html", include_str!("../login.html")));
        let server = TestServer::builder().access_lifetime(LIFETIME).rotation(Rotation::On).route(page.public());
        Self { server: server.start(), clock: ManualClock::new() }
    }

    fn login(&self) -> BrowserLogin {
        let refresh = HttpAuthenticator::without_login().refresh_url(self.server.url("/api/auth/refresh"));
        BrowserLogin {
            page: self.server.url("/login"),
            fields: vec![
                ("input[name=email]", self.server.email().into()),
                ("input[name=password]", self.server.password().into()),
            ],
            button: "button[type=submit]",
            token_url: self.server.url("/api/auth/login"),
            refresh: refresh.build().unwrap(),
            program: None,
        }
    }

    fn session(&self, login: BrowserLogin) -> Session {
        // A busy machine starts a browser slowly.
        let policy = Policy::default().login_timeout(MINUTE);
        Session::builder(login).policy(policy).clock(&self.clock).build()
    }

    fn pass(&self) {
        self.server.advance(LIFETIME);
        self.clock.advance(LIFETIME);
    }

    /// Logins, refreshes, and spent refresh tokens that were sent again.
    fn counted(&self) -> (u64, u64, u64) {
        let stats = self.server.stats();
        (stats.logins, stats.refreshes, stats.reuses)
    }
}

#[tokio::test]
async fn one_login_in_the_browser_is_refreshed_without_it_until_the_refresh_token_is_revoked() {
    let world = World::new();
    let session = world.session(world.login());
    let first = session.token().await.unwrap();
    assert_eq!(world.counted(), (1, 0, 0));
    let pages = || world.server.requests().iter().filter(|request| request.path() == "/login").count();
    for _ in 0..20 {
        world.pass();
        session.token().await.unwrap();
    }
    assert_eq!((world.counted(), pages()), ((1, 20, 0), 1), "the browser was opened once");
    world.server.revoke_refresh_tokens();
    world.pass();
    let last = session.token().await.unwrap();
    assert_eq!((world.counted(), pages()), ((2, 20, 0), 2));
    assert_ne!(first.expose(), last.expose());
}

#[tokio::test]
async fn a_wrong_password_is_a_denied_login_whose_error_names_the_endpoint_and_no_secret() {
    let world = World::new();
    let mut login = world.login();
    login.fields[1].1 = Secret::from("not-the-password");
    let error = world.session(login).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("/api/auth/login") && !text.contains("not-the-password"), "{text}");
}

#[tokio::test]
async fn a_browser_that_is_not_installed_is_named_at_once() {
    let world = World::new();
    let login = BrowserLogin { program: Some("/nowhere/chromium".to_owned()), ..world.login() };
    let begun = Instant::now();
    let error = world.session(login).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("the browser does not start"), "{error}");
    assert!(begun.elapsed() < MINUTE / 2);
    assert_eq!(world.counted(), (0, 0, 0));
}

#[tokio::test]
async fn a_page_that_never_gets_tokens_ends_in_an_error_that_names_what_was_waited_for() {
    let world = World::new();
    let login = BrowserLogin { token_url: world.server.url("/elsewhere"), ..world.login() };
    let error = world.session(login).token().await.unwrap_err();
    assert!(error.to_string().contains("/elsewhere within 20s"), "{error}");
}
