//! Reads tokens that were captured elsewhere: the body of an answer, or a HAR file of a browser.
//!
//! The input is the file.
//!
//! Tokens of a HAR file come from requests to the servers of the description, and no error and no
//! `Debug` output shows the secret.
#![no_main]

use std::sync::LazyLock;

use jwt_refresh_core::{Error, HttpAuthenticator, HttpRequest, TokenFields, Tokens};
use jwt_refresh_fuzz::{assert_debug_hides, assert_error_hides};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use url::Url;

/// The server of all descriptions.
const ORIGIN: &str = "https://api.example";

/// A description with all in the body; one with cookies and values that a refresh takes along; and
/// one whose whole body is the token.
static DESCRIPTIONS: LazyLock<[HttpAuthenticator; 3]> = LazyLock::new(|| {
    let login = || HttpRequest::post(format!("{ORIGIN}/login")).json_field("name", "ada");
    let refresh = HttpRequest::post(format!("{ORIGIN}/renew"))
        .cookie("refresh", "{refresh_token}")
        .header("x-csrf", "{csrf}")
        .json_field("id", "{id}");
    let cookies =
        TokenFields::default().access_token("data.jwt").refresh_token("cookie:refresh").expires_at("data.ends");
    let carried = login().capture("csrf", "header:x-csrf").capture("id", "data.user.id");
    [
        HttpAuthenticator::builder(login()).refresh_url(format!("{ORIGIN}/renew")).build().unwrap(),
        HttpAuthenticator::builder(carried).refresh(refresh).answer(cookies).build().unwrap(),
        HttpAuthenticator::builder(login()).answer(TokenFields::default().access_token("body:")).build().unwrap(),
    ]
});

fuzz_target!(|data: &[u8]| {
    let is_of_server = has_request_to_server(data);
    for api in &*DESCRIPTIONS {
        check(api.tokens_from_json(data));
        let tokens = api.tokens_from_har(data);
        assert!(tokens.is_err() || is_of_server, "tokens of another server were taken");
        check(tokens);
    }
});

fn check(tokens: Result<Tokens, Error>) {
    match tokens {
        Ok(tokens) => {
            assert!(!tokens.access().expose().is_empty());
            assert_debug_hides(&tokens);
        }
        Err(error) => assert_error_hides(&error),
    }
}

fn has_request_to_server(har: &[u8]) -> bool {
    let har = har.strip_prefix("\u{feff}".as_bytes()).unwrap_or(har);
    let Ok(har) = serde_json::from_slice::<Value>(har) else { return false };
    let entries = har["log"]["entries"].as_array().into_iter().flatten();
    let mut urls = entries.filter_map(|entry| Url::parse(entry["request"]["url"].as_str()?).ok());
    urls.any(|url| url.origin().ascii_serialization() == ORIGIN)
}
