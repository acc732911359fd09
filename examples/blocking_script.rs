//! A script of threads and plain functions: no runtime, and not one method that waits in a special way.
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
        let session = Session::builder(login).blocking_login()?;
        Ok(Self { agent: ureq::agent(), base: server.base_url().to_owned(), session })
    }

    #[refresh_token(token, retry_if = is_401)]
    fn daily(&self) -> Result<String, Error> {
        let request = self.agent.get(format!("{}/api/v1/reports/daily", self.base));
        Ok(request.header("Authorization", token.header()).call()?.body_mut().read_to_string()?)
    }
}

/// ureq has an error type of its own, which `retry_if` is told how to read.
fn is_401(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(ureq::Error::StatusCode(401)))
}

fn main() -> Result<(), Error> {
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
