//! What a server says beside the tokens, which is never worth a token.

use std::sync::mpsc;
use std::time::Duration;

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::{Authenticator, ClientAuth, Session};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::browser::{Browser, Sent, builder, logged_in};
use crate::provider::{OPENID, document, for_tokens, issuer, provider, tokens, value};
use crate::server::Server;

/// Members of a token answer that are not what OAuth 2.0 says.
fn odd_members() -> Vec<String> {
    let values = |name: &'static str, values: &[Value]| -> Vec<String> {
        values.iter().map(|value| format!(r#","{name}":{value}"#)).collect()
    };
    let numbers =
        [json!(-1), json!(3600.9), json!(""), json!("soon"), json!("-7"), json!(true), json!([60]), json!({})];
    let texts = [json!(null), json!(7), json!(["read", "write"]), json!({ "read": true }), json!(false)];
    [
        values("expires_in", &numbers),
        values("refresh_expires_in", &numbers),
        values("scope", &texts),
        values("id_token", &texts),
        values("issued_token_type", &texts),
        values("authorization_details", &texts),
        vec![
            r#","expires_in":1e999"#.to_owned(),
            format!(r#","expires_in":{}"#, "9".repeat(400)),
            r#","id_token":"""#.to_owned(),
            format!(r#","context":{}{}"#, "[".repeat(500), "]".repeat(500)),
            r#","token_type":"bearer","token_type":"bearer""#.to_owned(),
        ],
    ]
    .concat()
}

#[tokio::test]
async fn no_hint_beside_the_tokens_costs_a_token() {
    for odd in odd_members() {
        let answer = odd.clone();
        let server = provider(move |_, number| {
            let tokens =
                format!(r#""access_token":"access-{number}","refresh_token":"refresh-{number}","token_type":"Bearer""#);
            Answer::new(200).body("application/json", format!("{{{tokens}{answer}}}"))
        });
        let login = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion"));
        let login = login.client_auth(ClientAuth::public("app")).build().unwrap();
        let tokens = login.login().await.unwrap_or_else(|error| panic!("{odd}: {error}"));
        let session = Session::new(login);
        session.adopt(tokens).await.unwrap();
        for number in 1..=2 {
            let token = session.refresh_now().await.unwrap_or_else(|error| panic!("{odd}: {error}"));
            assert_eq!(token.expose(), format!("access-{number}"), "{odd}");
        }
        let seen = server.seen();
        let sent: Vec<_> = for_tokens(&seen).into_iter().map(|request| value(request, "refresh_token")).collect();
        assert_eq!(sent, [None, Some("refresh-0".to_owned()), Some("refresh-1".to_owned())], "{odd}");
    }
}

#[tokio::test]
async fn a_device_is_shown_the_page_also_by_the_name_that_it_had_before_the_standard() {
    let server = provider(|request, number| match request.path() {
        "/device" => Answer::new(200).json(&json!({
            "device_code": "device", "user_code": "WDJB", "verification_url": "https://id.example/device",
            "expires_in": "1800", "interval": 0,
        })),
        _ => tokens(number),
    });
    let (shown, page) = mpsc::channel();
    let grant = Grant::device_code(move |code| shown.send(code.verification_uri().to_owned()).unwrap());
    let login = OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("tv")).build().unwrap();
    login.login().await.unwrap();
    assert_eq!(page.recv().unwrap(), "https://id.example/device");
}

/// An answer of these members, of which one has this value, or is not there.
fn with_member(members: &Value, name: &str, value: Option<&str>) -> Answer {
    let members = members.to_string();
    let value = value.map(|value| format!(r#","{name}":{value}"#)).unwrap_or_default();
    Answer::new(200).body("application/json", format!("{}{value}}}", members.strip_suffix('}').unwrap()))
}

/// Seconds that are none, or more than there may be.
const ODD_SECONDS: [Option<&str>; 9] = [
    None,
    Some("null"),
    Some(r#""soon""#),
    Some("-1"),
    Some("1e999"),
    Some("18446744073709551616"),
    Some("true"),
    Some("[]"),
    Some(r#""""#),
];

#[tokio::test]
async fn a_pushed_request_is_used_whatever_the_server_says_of_how_long_it_keeps_that() {
    for written in [Some("90"), Some(r#""90""#), Some("90.0"), Some(r#""90.0""#)].into_iter().chain(ODD_SECONDS) {
        let server = Server::start(move |request, number| match request.path() {
            OPENID => {
                let push = format!("{}/push", issuer(request));
                document(request, &json!({ "pushed_authorization_request_endpoint": push }))
            }
            // The whole request is in its name.
            "/push" => with_member(&json!({ "request_uri": request.body() }), "expires_in", written),
            _ => tokens(number),
        });
        let grant = Browser::default().grant(|sent| {
            let pushed: Sent = url::form_urlencoded::parse(sent["request_uri"].as_bytes()).into_owned().collect();
            logged_in(&pushed)
        });
        let login = builder(&server, grant).build().unwrap();
        login.login().await.unwrap_or_else(|error| panic!("{written:?}: {error}"));
        assert_eq!(value(for_tokens(&server.seen())[0], "code").as_deref(), Some("c0de"));
    }
}

#[tokio::test]
async fn an_answer_without_what_a_login_is_prepared_by_is_not_taken_for_one_without_tokens() {
    for (path, answer) in [("/push", json!({})), ("/push", json!({ "request_uri": 7 })), ("/device", json!({}))] {
        let server = Server::start(move |request, _| match request.path() {
            OPENID if path == "/push" => {
                let push = format!("{}/push", issuer(request));
                document(request, &json!({ "pushed_authorization_request_endpoint": push }))
            }
            OPENID => document(request, &json!({})),
            _ => Answer::new(200).json(&answer),
        });
        let login = match path {
            "/push" => builder(&server, Browser::default().grant(logged_in)),
            _ => OAuth::builder(server.url(""), Grant::device_code(|_| ())).client_auth(ClientAuth::public("tv")),
        };
        let error = login.build().unwrap().login().await.unwrap_err();
        assert!(error.endpoint().unwrap().ends_with(path), "{error}");
        assert!(!error.to_string().contains("access_token"), "{error}");
    }
}

/// Logs in by a device code of which `name` has this value. Returns how long that is good for.
async fn log_in_by_device(name: &'static str, written: Option<&'static str>) -> Duration {
    let mut members = json!({
        "device_code": "device", "user_code": "WDJB", "verification_uri": "https://id.example/", "expires_in": 600,
        "interval": 1,
    });
    members.as_object_mut().unwrap().remove(name);
    let server = provider(move |request, number| match request.path() {
        "/device" => with_member(&members, name, written),
        _ => tokens(number),
    });
    let (shown, life) = mpsc::channel();
    let grant = Grant::device_code(move |code| shown.send(code.expires_in()).unwrap());
    let login = OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("tv")).build().unwrap();
    login.login().await.unwrap_or_else(|error| panic!("{name} {written:?}: {error}"));
    life.recv().unwrap()
}

#[tokio::test]
async fn a_device_code_is_used_whatever_the_server_says_of_its_life_and_of_the_pauses() {
    let mut logins = tokio::task::JoinSet::new();
    for written in ODD_SECONDS {
        for name in ["expires_in", "interval"] {
            logins.spawn(log_in_by_device(name, written));
        }
    }
    logins.join_all().await;
}

#[tokio::test]
async fn the_life_of_a_device_code_is_read_however_servers_write_it() {
    for written in ["1800", r#""1800""#, "1800.0", r#""1800.5""#] {
        let life = log_in_by_device("expires_in", Some(written)).await;
        assert!((1795..=1800).contains(&life.as_secs()), "{written}: {life:?}");
    }
}

#[tokio::test]
async fn a_document_with_odd_members_that_no_login_needs_is_used() {
    let odd = [
        ("op_tos_uri", json!("")),
        ("op_policy_uri", json!("/policy")),
        ("userinfo_endpoint", json!(null)),
        ("introspection_endpoint", json!("")),
        ("check_session_iframe", json!(7)),
        ("response_types_supported", json!(null)),
        ("response_modes_supported", json!("query")),
        ("grant_types_supported", json!(null)),
        ("scopes_supported", json!("read write")),
        ("token_endpoint_auth_methods_supported", json!(null)),
        ("code_challenge_methods_supported", json!(null)),
        ("require_pushed_authorization_requests", json!(null)),
        ("frontchannel_logout_supported", json!("true")),
        ("tls_client_certificate_bound_access_tokens", json!(null)),
        ("mtls_endpoint_aliases", json!({ "introspection_endpoint": "" })),
    ];
    for (name, written) in odd {
        let member = written.clone();
        let server = Server::start(move |request, number| match request.path() {
            OPENID => document(request, &json!({ name: member })),
            _ => tokens(number),
        });
        let login = builder(&server, Browser::default().grant(logged_in)).build().unwrap();
        login.login().await.unwrap_or_else(|error| panic!("{name} {written}: {error}"));
    }
}
