//! Tries the description of a server in a file: logs in once, refreshes once, and says what it
//! found. No secret is printed.
//!
//! ```sh
//! cargo run --example login -- examples/servers/simplejwt.toml
//! ```

use std::error::Error as StdError;
use std::process::ExitCode;

use jwt_refresh::{Error, HttpAuthenticator, LoginTrial};

async fn try_file(file: &str) -> Result<LoginTrial, Error> {
    LoginTrial::run(HttpAuthenticator::from_file(file)?.build()?).await
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: login FILE    (a description in TOML or JSON; see examples/servers)");
        return ExitCode::from(2);
    };
    match try_file(&file).await {
        Ok(trial) => {
            println!("{trial}");
            if trial.refresh_error().is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("login: failed: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}
