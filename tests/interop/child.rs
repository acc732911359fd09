//! A process that calls the API through a session of its own until its standard input is closed.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::header::WWW_AUTHENTICATE;
use jwt_refresh::store::{FileStore, RedisStore};
use jwt_refresh::{
    AccessParameters, AccessToken, Bearer, Error, HttpAuthenticator, Observed, Policy, Session, SessionBuilder,
};
use serde::{Deserialize, Serialize};

use crate::browser::{self, FILES};
use crate::support::{end_of_input, http_client, orders};

/// A session hands out no token that has less than 0.5 s of its 10 s left. If more than this passes
/// until the answer of the API, the machine was busy, and a 401 says nothing about the session.
const LATE: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) login: Login,
    /// The URL of the API.
    pub(crate) api: String,
    /// The URL of another API, which takes another token of the login.
    pub(crate) other_api: Option<String>,
    pub(crate) store: Place,
}

/// Where the store of a process is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    Folder(PathBuf),
    /// A Redis at this URL.
    Redis(String),
}

impl Place {
    fn hold(&self, session: SessionBuilder) -> SessionBuilder {
        match self {
            Self::Folder(folder) => session.store(FileStore::new(folder), "ada"),
            Self::Redis(url) => session.store(RedisStore::new(url).unwrap(), "ada"),
        }
    }
}

/// How a process logs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Login {
    /// By this description. It takes its URL from the environment.
    Description(PathBuf),
    /// In a browser, at this issuer.
    Browser(String),
    /// Likewise, for tokens that are bound to a key (DPoP).
    Bound(String),
}

impl Login {
    fn session(&self) -> SessionBuilder {
        match self {
            Self::Description(file) => Session::builder(HttpAuthenticator::from_file(file).unwrap().build().unwrap()),
            Self::Browser(issuer) => Session::builder(browser::login(issuer)),
            Self::Bound(issuer) => Session::builder(browser::bound_login(issuer)),
        }
    }
}

/// What a process has done when it ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) calls: u64,
    pub(crate) rejected: u64,
    /// Calls that were rejected after the machine was busy.
    pub(crate) rejected_late: u64,
    /// Calls that the API wanted a nonce for.
    pub(crate) nonces: u64,
    pub(crate) failures: Vec<String>,
}

#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn follows_orders() {
    let orders: Orders = serde_json::from_str(&orders().expect("orders")).unwrap();
    let ended = end_of_input();
    // The disk of a busy machine may be slow, and that is not what is tested.
    let policy = Policy::default().store_timeout(Duration::from_secs(20));
    let session = orders.store.hold(orders.login.session().policy(policy)).build();
    let other = session.access_for(AccessParameters::for_resource(FILES));
    let mut report = Report::default();
    let http = http_client();
    while !ended.load(Ordering::Acquire) {
        call(session.token().await, &http, &orders.api, &mut report).await;
        if let Some(api) = &orders.other_api {
            call(other.token().await, &http, api, &mut report).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    session.flush().await;
    // The test harness has begun a line.
    println!("\n{}", serde_json::to_string(&report).unwrap());
}

async fn call(token: Result<AccessToken, Error>, http: &reqwest::Client, api: &str, report: &mut Report) {
    let token = match token {
        Ok(token) => token,
        Err(error) => return report.failures.push(format!("{error}: {error:?}")),
    };
    let begun = Instant::now();
    let answer = http.get(api).bearer(&token).send().await.observed(&token);
    report.calls += 1;
    match answer.map(|answer| (answer.status().as_u16(), wants_nonce(&answer))) {
        Ok((200, _)) => {}
        Ok((401, true)) => report.nonces += 1,
        Ok((401, _)) if begun.elapsed() > LATE => report.rejected_late += 1,
        Ok((401, _)) => report.rejected += 1,
        other => report.failures.push(format!("{other:?}")),
    }
}

fn wants_nonce(answer: &reqwest::Response) -> bool {
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE);
    challenges.iter().any(|challenge| challenge.to_str().unwrap().contains(r#"error="use_dpop_nonce""#))
}
