//! Reads answers of token endpoints: tokens, or the reason why there are none.
//!
//! The input has a line `status: 200`, lines that begin with `@` and name places (`@access:
//! data.token`), lines of headers, and the body of the answer.
//!
//! No error and no `Debug` output shows the secret, wherever it is in the answer. The way by
//! reqwest and the one without it agree. A session takes whatever was read, odd lifetimes too.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jwt_refresh_core::{
    Authenticator, Error, ErrorKind, LifetimeUnit, Session, TokenFields, TokenProvider as _, Tokens,
};
use jwt_refresh_fuzz::{Input, SECRET, assert_debug_hides, assert_error_hides};
use libfuzzer_sys::fuzz_target;

/// Cannot log in, so that all that a session has is the tokens that it was given.
struct NoLogin;

impl Authenticator for NoLogin {
    async fn login(&self) -> Result<Tokens, Error> {
        Err(Error::login_unavailable())
    }
}

fuzz_target!(|data: &[u8]| {
    let input = Input::split(data);
    let places = || input.lines().filter(|(name, _)| name.starts_with('@'));
    if places().any(|(_, place)| place.contains(SECRET)) {
        // A place is the user's, and is named in errors.
        return;
    }
    let status = input.parsed("status").and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default();
    let headers: HeaderMap = input.lines().filter_map(header).collect();
    let fields = places().fold(TokenFields::default(), with_place);
    match Tokens::from_answer(status, &headers, input.body, &fields) {
        Ok(tokens) => {
            assert!(status.is_success(), "tokens came with {status}");
            agree(Ok(&tokens), status, &headers, input.body, &fields);
            take(tokens);
        }
        Err(error) => {
            assert_error_hides(&error);
            assert_ne!(error.kind(), ErrorKind::Other);
            assert!(error.code().is_none_or(|code| code.len() <= 64));
            agree(Err(&error), status, &headers, input.body, &fields);
        }
    }
});

fn header((name, value): (&str, &str)) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

fn with_place(fields: TokenFields, (name, place): (&str, &str)) -> TokenFields {
    match name {
        "@access" => fields.access_token(place),
        "@refresh" => fields.refresh_token(place),
        "@expires_in" => fields.expires_in(place, LifetimeUnit::Seconds),
        "@expires_in_ms" => fields.expires_in(place, LifetimeUnit::Milliseconds),
        "@expires_at" => fields.expires_at(place),
        "@refresh_expires_in" => fields.refresh_expires_in(place, LifetimeUnit::Seconds),
        "@lives_for" => fields.lives_for(Duration::from_millis(place.parse().unwrap_or(u64::MAX))),
        _ => fields,
    }
}

/// Checks that an answer of reqwest is read in the same way.
fn agree(read: Result<&Tokens, &Error>, status: StatusCode, headers: &HeaderMap, body: &[u8], fields: &TokenFields) {
    let mut response = http::Response::new(body.to_vec());
    *response.status_mut() = status;
    response.headers_mut().clone_from(headers);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let by_reqwest = runtime.block_on(Tokens::from_response(response.into(), fields));
    let shown = |tokens: &Tokens| {
        let refresh = tokens.refresh().map(|token| token.expose().to_owned());
        (tokens.access().expose().to_owned(), refresh, tokens.lifetime(), tokens.expiry(), tokens.server_date())
    };
    match (read, by_reqwest) {
        (Ok(tokens), Ok(others)) => assert_eq!(shown(tokens), shown(&others)),
        (Err(error), Err(other)) => {
            assert_error_hides(&other);
            assert_eq!((error.kind(), error.code(), error.status()), (other.kind(), other.code(), other.status()));
        }
        (read, other) => panic!("read as {read:?}, and by reqwest as {other:?}"),
    }
}

fn take(tokens: Tokens) {
    assert_debug_hides(&tokens);
    let _ = (tokens.extra("a.b"), tokens.extra("access_token"));
    let token = tokens.access().clone();
    assert_eq!(token.header().as_bytes(), format!("Bearer {}", token.expose()).as_bytes());
    let session = Session::builder(NoLogin).tokens(tokens).build();
    if let Some(ready) = session.ready() {
        assert_eq!(ready.expose(), token.expose());
    }
    let _ = session.stats();
    assert_debug_hides(&session);
}
