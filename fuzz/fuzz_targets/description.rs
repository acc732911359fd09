//! Builds authenticators from descriptions.
//!
//! The input has a line for each step: `url: …`, `header: name=value`, `json: path=value`.
//!
//! Neither the error of a description with a mistake nor `Debug` output of one without shows a
//! value of it, since users write secrets there; and what is built sends credentials to `https` or
//! to this machine only.
#![no_main]

use jwt_refresh_core::{AnswerMatch, ClientAuth, ErrorKind, HttpAuthenticator, HttpRequest, TokenFields};
use jwt_refresh_fuzz::{Input, SECRET, assert_debug_hides, assert_error_hides};
use libfuzzer_sys::fuzz_target;
use url::{Host, Url};

fuzz_target!(|data: &[u8]| {
    let input = Input::split(data);
    if input.lines().any(|(step, text)| is_shown(step, text).contains(SECRET)) {
        return;
    }
    let url = input.value("url").unwrap_or("https://api.example/login");
    let method = input.value("method").unwrap_or("POST");
    let login = input.lines().fold(HttpRequest::new(method, url), with_step);
    assert_debug_hides(&login);
    let mut builder = HttpAuthenticator::builder(login).secret("password", SECRET).secret("key", SECRET);
    for (step, text) in input.lines() {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        builder = match step {
            "field" => builder.field(name, value),
            "secret" => builder.secret_field(name, value),
            "refresh_url" => builder.refresh_url(text),
            "revocation_url" => builder.revocation_url(text),
            "refresh_json" => builder.refresh(HttpRequest::post(url).json_field(name, value)),
            "client" => builder.client_auth(ClientAuth::basic(name, value)),
            "client_body" => builder.client_auth(ClientAuth::in_body(name, value)),
            "access" => builder.answer(TokenFields::default().access_token(text)),
            "refresh_access" => builder.refresh_answer(TokenFields::default().access_token(text)),
            _ => builder,
        };
    }
    assert_debug_hides(&builder);
    match builder.build() {
        Ok(api) => {
            assert_debug_hides(&api);
            assert_is_safe(url);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_error_hides(&error);
        }
    }
});

/// Returns the part of a step that a user may be shown: names, places and URLs.
fn is_shown<'a>(step: &str, text: &'a str) -> &'a str {
    match step {
        "header" | "cookie" | "json" | "form" | "field" | "secret" | "refresh_json" | "client" | "client_body"
        | "basic" => text.split_once('=').map_or(text, |(name, _)| name),
        _ => text,
    }
}

fn with_step(request: HttpRequest, (step, text): (&str, &str)) -> HttpRequest {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    match step {
        "header" => request.header(name, value),
        "cookie" => request.cookie(name, value),
        "json" => request.json_field(name, value),
        "form" => request.form_field(name, value),
        "basic" => request.basic_auth(name, value),
        "capture" => request.capture(name, value),
        "dead_if" => request.dead_if(AnswerMatch::value(name, value)),
        _ => request,
    }
}

/// Checks that nobody reads on the way what is sent to this URL.
fn assert_is_safe(template: &str) {
    // Placeholders and doubled braces are not in the part that is looked at.
    let Ok(url) = Url::parse(template) else { return };
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    assert!(url.scheme() == "https" || is_this_machine, "credentials would be sent to {url}");
}
