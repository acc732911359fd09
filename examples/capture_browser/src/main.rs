//! Tokens from a login in a headless browser. The browser logs in once; then the tokens are
//! refreshed without it, until the server revokes the refresh token, and the browser logs in again.
//!
//! It needs Chromium or Chrome.
//!
//! ```sh
//! cargo run --manifest-path examples/capture_browser/Cargo.toml
//! ```

mod browser_login;

use std::time::{Duration, Instant};

use jwt_refresh::{HttpAuthenticator, ManualClock, Session};
use jwt_refresh_testkit::{Answer, Rotation, Route, TestServer};

use browser_login::BrowserLogin;

const LIFETIME: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let login_page = Route::get("/login", |_| Answer::new(200).body("text/html", include_str!("../login.html")));
    let server =
        TestServer::builder().access_lifetime(LIFETIME).rotation(Rotation::On).route(login_page.public()).start();
    let login = BrowserLogin {
        page: server.url("/login"),
        fields: vec![("input[name=email]", server.email().into()), ("input[name=password]", server.password().into())],
        button: "button[type=submit]",
        token_url: server.url("/api/auth/login"),
        refresh: HttpAuthenticator::without_login().refresh_url(server.url("/api/auth/refresh")).build()?,
        program: None,
    };
    // Time is that of two clocks which the program moves, so that it need not wait.
    let clock = ManualClock::new();
    let session = Session::builder(login).clock(&clock).build();

    for round in ["nobody is logged in", "the server has revoked the refresh token"] {
        let begun = Instant::now();
        session.token().await?;
        println!("{round}: the browser logged in within {:.1} s", begun.elapsed().as_secs_f64());
        for _ in 0..20 {
            server.advance(LIFETIME);
            clock.advance(LIFETIME);
            session.token().await?;
        }
        println!("then {:?}", server.stats());
        server.revoke_refresh_tokens();
        server.advance(LIFETIME);
        clock.advance(LIFETIME);
    }
    Ok(())
}
