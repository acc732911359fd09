//! Logs in to an OAuth 2.0 server, and calls an API as who has logged in.
//!
//! ```text
//! cargo run --example oauth_login --features oauth -- ISSUER CLIENT_ID URL [SCOPE]
//! DEVICE=1 cargo run --example oauth_login --features oauth -- ISSUER CLIENT_ID URL [SCOPE]
//! ```
//!
//! The client is a public one, with the redirect URI `http://127.0.0.1/callback`. The tokens are
//! kept in the folder `oauth_login`, so the next run needs no browser.

use std::process::Command;
use std::time::Duration;

use jwt_refresh::oauth::{AuthorizationCode, Grant, OAuth};
use jwt_refresh::prelude::*;
use jwt_refresh::store::FileStore;
use jwt_refresh::{ClientAuth, Policy};

struct Api {
    http: reqwest::Client,
    session: Session,
}

#[refresh_token(token, retry)]
impl Api {
    async fn get(&self, url: &str) -> Result<String, Box<dyn std::error::Error>> {
        Ok(self.http.get(url).bearer(&token).send().await?.error_for_status()?.text().await?)
    }
}

/// In a browser on this machine, or with `DEVICE` on another device.
fn grant() -> Grant {
    if std::env::var_os("DEVICE").is_some() {
        return Grant::device_code(|code| println!("Enter {} at {}", code.user_code(), code.verification_uri()));
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let open = move |url: &str| Command::new(opener).arg(url).spawn().map(drop);
    AuthorizationCode::new(open).into()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, client_id, url, scope @ ..] = &arguments[..] else {
        return Err("usage: oauth_login ISSUER CLIENT_ID URL [SCOPE]".into());
    };
    let login =
        OAuth::builder(issuer, grant()).client_auth(ClientAuth::public(client_id)).scope(scope.join(" ")).build()?;
    // A person takes longer than a program.
    let policy = Policy::default().login_timeout(Duration::from_secs(600));
    let store = FileStore::new("oauth_login");
    let session = Session::builder(login).policy(policy).store(store, client_id).connect().await?;
    let api = Api { http: reqwest::Client::new(), session };
    println!("{}", api.get(url).await?);
    api.session.flush().await;
    Ok(())
}
