//! A script with threads and plain functions, without an async runtime. The attribute works on a
//! plain method as well: it blocks the thread while it waits for a token.
//!
//! ```sh
//! cargo run --example blocking_script --features blocking
//! ```

use std::time::Duration;

use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Reports {
    agent: ureq::Agent,
    base: String,
    session: Session,
}

impl Reports {
    fn log_in(server: &TestServer) -> Result<Self, Error> {
        let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
            .refresh_url(server.url("/api/auth/refresh"))
            .field("email", server.email())
            .secret_field("password", server.password())
            .build()?;
        let session = Session::builder(login).blocking_connect()?;
        Ok(Self { agent: ureq::agent(), base: server.base_url().to_owned(), session })
    }

    // Before the body runs, the attribute gets a valid access token from `self.session`, which is
    // `token` in the body. If `is_401` returns true for the error, the token is renewed and the
    // body runs once more.
    #[refresh_token(token, retry_if = is_401)]
    fn daily(&self) -> Result<String, Error> {
        let request = self.agent.get(format!("{}/api/v1/reports/daily", self.base));
        Ok(request.header("Authorization", token.header()).call()?.body_mut().read_to_string()?)
    }
}

/// Returns whether the server rejected the token. jwt-refresh does not know ureq's error type, so
/// `retry_if` needs this function.
fn is_401(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(ureq::Error::StatusCode(401)))
}

fn main() -> Result<(), Error> {
    // A real auth server and API on this machine, whose access tokens live for 0.8 seconds.
    let server = TestServer::builder().access_lifetime(Duration::from_millis(800)).start();
    let reports = Reports::log_in(&server)?;
    println!("{}", reports.daily()?);

    println!("four threads for three seconds, with tokens that live for 0.8 s");
    let end = std::time::Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        let worker = || {
            while std::time::Instant::now() < end {
                reports.daily()?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok::<(), Error>(())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a worker panicked")?)
    })?;

    // From now on the server rejects the token that the session has, although it has not expired.
    server.rotate_signing_key();
    reports.daily()?;
    println!("and after a change of keys: renewed, and retried once");
    let stats = server.stats();
    println!(
        "calls={} logins={} refreshes={} rejected={}",
        stats.api_calls, stats.logins, stats.refreshes, stats.rejected
    );
    Ok(())
}
