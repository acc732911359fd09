//! Where tokens are asked for, and the shape of these requests and of their answers.

use std::fmt;

use axum::http::header;
use serde::Deserialize;

use crate::{Answer, Hints, ReceivedRequest, TokenPair, clock::Seconds};

type ReadCredentials = dyn Fn(&ReceivedRequest) -> Option<(String, String)> + Send + Sync;
type ReadRefreshToken = dyn Fn(&ReceivedRequest) -> Option<String> + Send + Sync;
type WriteAnswer = dyn Fn(&TokenPair) -> Answer + Send + Sync;

/// An endpoint for tokens: which requests it is for, and what is read from them.
pub(crate) struct TokenEndpoint<R: ?Sized> {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `None` for the kit's own shape.
    read: Option<Box<R>>,
}

impl<R: ?Sized> TokenEndpoint<R> {
    pub(crate) fn new(method: &str, path: &str, read: Option<Box<R>>) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), read }
    }

    /// Whether requests have the kit's own shape.
    pub(crate) fn is_standard(&self) -> bool {
        self.read.is_none()
    }
}

/// The login and the refresh, as the [`Builder`](crate::Builder) was told.
pub(crate) struct TokenEndpoints {
    pub(crate) login: TokenEndpoint<ReadCredentials>,
    pub(crate) refresh: TokenEndpoint<ReadRefreshToken>,
    /// `None` for the answer of RFC 6749 §5.1.
    pub(crate) answer: Option<Box<WriteAnswer>>,
}

impl Default for TokenEndpoints {
    fn default() -> Self {
        Self {
            login: TokenEndpoint::new("POST", "/api/auth/login", None),
            refresh: TokenEndpoint::new("POST", "/api/auth/refresh", None),
            answer: None,
        }
    }
}

impl TokenEndpoints {
    /// Whether one method and path is for both, so that only what is sent tells them apart.
    pub(crate) fn are_one(&self) -> bool {
        (&self.login.method, &self.login.path) == (&self.refresh.method, &self.refresh.path)
    }

    /// Returns the email address and the password of a login.
    pub(crate) fn credentials(&self, request: &ReceivedRequest) -> Option<(String, String)> {
        #[derive(Deserialize)]
        struct Login {
            email: String,
            password: String,
        }
        match &self.login.read {
            Some(read) => read(request),
            None => request.sent_json::<Login>().map(|login| (login.email, login.password)),
        }
    }

    /// Returns the refresh token of a refresh.
    pub(crate) fn refresh_token(&self, request: &ReceivedRequest) -> Option<String> {
        #[derive(Deserialize)]
        struct Refresh {
            refresh_token: String,
        }
        match &self.refresh.read {
            Some(read) => read(request),
            None => request.sent_json::<Refresh>().map(|refresh| refresh.refresh_token),
        }
    }

    /// Returns the answer to a login or refresh that succeeded.
    pub(crate) fn answer(&self, tokens: &TokenPair, hints: Hints) -> Answer {
        match &self.answer {
            Some(write) => write(tokens),
            None => standard_answer(tokens, hints),
        }
    }
}

impl fmt::Debug for TokenEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { login, refresh, answer: _ } = self;
        f.debug_struct("TokenEndpoints")
            .field("login", &format_args!("{} {}", login.method, login.path))
            .field("refresh", &format_args!("{} {}", refresh.method, refresh.path))
            .finish_non_exhaustive()
    }
}

/// Returns the answer of RFC 6749 §5.1.
fn standard_answer(tokens: &TokenPair, hints: Hints) -> Answer {
    let mut answer = serde_json::json!({ "access_token": tokens.access_token, "token_type": "Bearer" });
    if let Some(refresh_token) = &tokens.refresh_token {
        answer["refresh_token"] = refresh_token.as_str().into();
    }
    if hints.expires_in() {
        answer["expires_in"] = serde_json::json!(Seconds(tokens.lifetime));
    }
    not_stored().json(&answer)
}

/// Returns an answer that no cache keeps, since it contains a token (RFC 6749 §5.1).
pub(crate) fn not_stored() -> Answer {
    Answer::new(200).header(header::CACHE_CONTROL.as_str(), "no-store")
}
