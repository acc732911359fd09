//! The answers without tokens that the server gives: at least one of each row of the table "What
//! if the server says no?" in DESIGN.md. That the table is followed to the letter is checked in
//! `tests/session/answers.rs`.

use serde_json::json;

use crate::exchange::{Action, Meaning};

#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) action: Action,
    pub(crate) status: u16,
    pub(crate) body: Body,
    pub(crate) meaning: Meaning,
}

/// What stands in an answer without tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// `{"error": …}`.
    Code(&'static str),
    /// A JSON object without `error` in it.
    Json,
    Empty,
    /// A page, of a gateway or a captive portal.
    Html,
    /// JSON that ends in the middle, in an answer that says that it is complete.
    Truncated,
}

impl Body {
    /// Returns its type and its text.
    pub(crate) fn text(self) -> (&'static str, String) {
        const JSON: &str = "application/json";
        match self {
            Self::Code(code) => (JSON, json!({ "error": code }).to_string()),
            Self::Json => (JSON, json!({ "message": "no" }).to_string()),
            Self::Empty => (JSON, String::new()),
            Self::Html => ("text/html", "<!doctype html><title>Gateway</title><p>Please wait.".into()),
            Self::Truncated => (JSON, r#"{"access_token":"A"#.into()),
        }
    }
}

const fn login(status: u16, body: Body, meaning: Meaning) -> Refusal {
    Refusal { action: Action::Login, status, body, meaning }
}

const fn refresh(status: u16, body: Body, meaning: Meaning) -> Refusal {
    Refusal { action: Action::Refresh, status, body, meaning }
}

pub(crate) static WRONG_PASSWORD: Refusal = login(401, Body::Json, Meaning::Dead);
pub(crate) static WRONG_TOKEN: Refusal = refresh(400, Body::Code("invalid_grant"), Meaning::Dead);

pub(crate) static REFUSALS: &[Refusal] = &[
    refresh(429, Body::Json, Meaning::Sound),
    refresh(503, Body::Html, Meaning::Sound),
    refresh(521, Body::Html, Meaning::Sound),
    refresh(400, Body::Code("temporarily_unavailable"), Meaning::Sound),
    refresh(400, Body::Code("server_error"), Meaning::InDoubt),
    refresh(500, Body::Code("invalid_grant"), Meaning::Dead),
    refresh(401, Body::Code("invalid_client"), Meaning::Dead),
    refresh(500, Body::Json, Meaning::InDoubt),
    refresh(502, Body::Html, Meaning::InDoubt),
    refresh(501, Body::Empty, Meaning::InDoubt),
    refresh(403, Body::Html, Meaning::Sound),
    refresh(200, Body::Html, Meaning::Sound),
    refresh(200, Body::Code("token_expired"), Meaning::Dead),
    refresh(401, Body::Empty, Meaning::Dead),
    refresh(422, Body::Json, Meaning::Dead),
    refresh(404, Body::Json, Meaning::Dead),
    refresh(415, Body::Empty, Meaning::InDoubt),
    refresh(409, Body::Json, Meaning::InDoubt),
    refresh(307, Body::Empty, Meaning::Sound),
    refresh(200, Body::Json, Meaning::InDoubt),
    refresh(200, Body::Truncated, Meaning::InDoubt),
    login(429, Body::Empty, Meaning::Sound),
    login(400, Body::Code("slow_down"), Meaning::Sound),
    login(400, Body::Code("server_error"), Meaning::Sound),
    login(400, Body::Code("invalid_grant"), Meaning::Dead),
    login(500, Body::Json, Meaning::Sound),
    login(502, Body::Html, Meaning::Sound),
    login(403, Body::Html, Meaning::Sound),
    login(200, Body::Code("locked"), Meaning::Dead),
    login(403, Body::Empty, Meaning::Dead),
    login(404, Body::Empty, Meaning::Misconfigured),
    login(415, Body::Json, Meaning::Misconfigured),
    login(409, Body::Json, Meaning::Sound),
    login(307, Body::Empty, Meaning::Sound),
    login(200, Body::Empty, Meaning::Sound),
];
