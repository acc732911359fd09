//! What a server says beside the tokens, which is never worth a token.

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::{Authenticator, ClientAuth, Session};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::provider::{for_tokens, provider, value};

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
        _ => crate::provider::tokens(number),
    });
    let (shown, page) = std::sync::mpsc::channel();
    let grant = Grant::device_code(move |code| shown.send(code.verification_uri().to_owned()).unwrap());
    let login = OAuth::builder(server.url(""), grant).client_auth(ClientAuth::public("tv")).build().unwrap();
    login.login().await.unwrap();
    assert_eq!(page.recv().unwrap(), "https://id.example/device");
}
