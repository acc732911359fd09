//! A client that sends the requests of an API wrapper by hand, so that the tests read as requests
//! and answers.

use jwt_refresh_testkit::{Builder, TestServer};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// A server and a client for it.
pub(crate) struct Setup {
    pub(crate) server: TestServer,
    pub(crate) http: Client,
}

/// The tokens in an answer.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl From<&Value> for Tokens {
    fn from(answer: &Value) -> Self {
        Self { access: text(answer, "access_token"), refresh: text(answer, "refresh_token") }
    }
}

pub(crate) fn text(answer: &Value, field: &str) -> String {
    match answer[field].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("no text {field:?} in {answer}"),
    }
}

pub(crate) fn setup() -> Setup {
    setup_with(TestServer::builder())
}

pub(crate) fn setup_with(builder: Builder) -> Setup {
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client without TLS");
    Setup { server: builder.start(), http }
}

impl Setup {
    pub(crate) async fn post(&self, path: &str, body: Value) -> reqwest::Result<Response> {
        self.http.post(self.server.url(path)).json(&body).send().await
    }

    pub(crate) async fn try_login(&self) -> reqwest::Result<Response> {
        let body = json!({ "email": self.server.email(), "password": self.server.password() });
        self.post("/api/auth/login", body).await
    }

    pub(crate) async fn try_refresh(&self, refresh_token: &str) -> reqwest::Result<Response> {
        let body = json!({ "refresh_token": refresh_token });
        self.post("/api/auth/refresh", body).await
    }

    /// Logs the default account in, and returns the body of the answer.
    pub(crate) async fn login_answer(&self) -> Value {
        ok_json(self.try_login().await).await
    }

    pub(crate) async fn login(&self) -> Tokens {
        Tokens::from(&self.login_answer().await)
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Tokens {
        Tokens::from(&ok_json(self.try_refresh(refresh_token).await).await)
    }

    /// Returns the status of the answer to a refresh.
    pub(crate) async fn refresh_status(&self, refresh_token: &str) -> StatusCode {
        self.try_refresh(refresh_token).await.expect("an answer").status()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: &str) -> Response {
        self.http.request(method, self.server.url(path)).bearer_auth(token).send().await.expect("an answer")
    }

    /// Returns the status of the answer to an API call with this token.
    pub(crate) async fn api_status(&self, token: &str) -> StatusCode {
        self.call(Method::GET, "/api/v1/products/1", token).await.status()
    }
}

/// Returns the JSON body of an answer whose status must be 200.
pub(crate) async fn ok_json(answer: reqwest::Result<Response>) -> Value {
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.expect("JSON")
}
