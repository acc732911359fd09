//! What each grant sends, and what becomes of the tokens.

use std::time::Duration;

use jwt_refresh::oauth::{Grant, OAuth, TokenExchange, TokenType};
use jwt_refresh::{Authenticator, ClientAuth, ErrorKind, HttpClient, SecretSource, Session, Tokens};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::provider::{for_tokens, provider, tokens, value, values};

#[tokio::test]
async fn a_client_authenticates_as_it_was_told_whatever_the_server_prefers() {
    // RFC 6749 §2.3.1: form-urlencoded before Base64, `cat alog:S3:cret%`.
    let basic = "Basic Y2F0K2Fsb2c6UzMlM0FjcmV0JTI1";
    for (auth, header, id, secret) in [
        (ClientAuth::basic("cat alog", "S3:cret%"), basic, None, None),
        (ClientAuth::in_body("cat alog", "S3:cret%"), "", Some("cat alog"), Some("S3:cret%")),
        (ClientAuth::public("cat alog"), "", Some("cat alog"), None),
    ] {
        let server = provider(|_, number| tokens(number));
        let api = OAuth::builder(server.url(""), Grant::client_credentials()).client_auth(auth).build().unwrap();
        api.login().await.unwrap();
        let seen = server.seen();
        let sent = for_tokens(&seen)[0];
        assert_eq!(sent.header("authorization"), header);
        assert_eq!(value(sent, "client_id").as_deref(), id);
        assert_eq!(value(sent, "client_secret").as_deref(), secret);
        assert_eq!(value(sent, "grant_type").unwrap(), "client_credentials");
    }
}

#[tokio::test]
async fn scope_audience_and_resources_are_asked_for() {
    let server = provider(|_, number| tokens(number));
    let api = OAuth::builder(server.url(""), Grant::client_credentials())
        .client_auth(ClientAuth::basic("catalog", "S3cret"))
        .scope("read  write")
        .audience("https://api.example/?a=1&b=2")
        .resource("https://one.example/")
        .resource("https://two.example/");
    let tokens = api.build().unwrap().login().await.unwrap();
    let seen = server.seen();
    let sent = for_tokens(&seen)[0];
    assert_eq!(value(sent, "scope").unwrap(), "read write");
    assert_eq!(value(sent, "audience").unwrap(), "https://api.example/?a=1&b=2");
    assert_eq!(values(sent, "resource"), ["https://one.example/", "https://two.example/"]);
    // What was granted, which may be less.
    assert_eq!(tokens.extra("scope").unwrap(), "read");
    assert_eq!(tokens.lifetime(), Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn client_credentials_are_renewed_by_a_login_even_if_the_server_issues_a_refresh_token() {
    let server = provider(|_, number| tokens(number));
    let api = OAuth::builder(server.url(""), Grant::client_credentials())
        .client_auth(ClientAuth::basic("catalog", "S3cret"))
        .build()
        .unwrap();
    let session = Session::new(api);
    assert_eq!(session.token().await.unwrap().expose(), "access-0");
    assert_eq!(session.refresh_now().await.unwrap().expose(), "access-1");
    let seen = server.seen();
    let grants: Vec<_> = for_tokens(&seen).into_iter().map(|sent| value(sent, "grant_type").unwrap()).collect();
    assert_eq!(grants, ["client_credentials", "client_credentials"]);
}

#[tokio::test]
async fn a_refresh_sends_the_newest_refresh_token_and_what_the_token_is_for() {
    let server = provider(|_, number| match number {
        // RFC 6749 §6: a server that sends none lets the client keep the one that it has.
        1 => Answer::new(200).json(&json!({ "access_token": "kept", "token_type": "bearer" })),
        _ => tokens(number + 1),
    });
    let api = OAuth::builder(server.url(""), Grant::refresh_only())
        .client_auth(ClientAuth::public("app"))
        .scope("read")
        .audience("api")
        .resource("https://one.example/")
        .build()
        .unwrap();
    let session = Session::new(api);
    session.adopt(Tokens::new("a").unwrap().refresh_token("refresh-0")).await.unwrap();
    for _ in 0..3 {
        session.refresh_now().await.unwrap();
    }
    let seen = server.seen();
    let sent = for_tokens(&seen);
    let of = |name| sent.iter().map(|request| value(request, name)).collect::<Vec<_>>();
    assert_eq!(of("refresh_token").into_iter().flatten().collect::<Vec<_>>(), ["refresh-0", "refresh-1", "refresh-1"]);
    assert_eq!(of("audience"), vec![Some("api".to_owned()); 3]);
    assert_eq!(of("resource"), vec![Some("https://one.example/".to_owned()); 3]);
    assert_eq!(of("client_id"), vec![Some("app".to_owned()); 3]);
    // It gets the scope of the login.
    assert_eq!(of("scope"), vec![None; 3]);
}

#[tokio::test]
async fn without_a_login_dead_refresh_tokens_need_a_person() {
    let server = provider(|_, _| crate::provider::refusal("invalid_grant"));
    let api = OAuth::builder(server.url(""), Grant::refresh_only()).client_auth(ClientAuth::public("app"));
    let session = Session::new(api.build().unwrap());
    session.adopt(Tokens::new("a").unwrap().refresh_token("dead")).await.unwrap();
    let error = session.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReauthenticationRequired, "{error}");
    assert_eq!(for_tokens(&server.seen()).len(), 1);
}

#[tokio::test]
async fn an_assertion_is_read_anew_for_each_login() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = provider(|_, number| {
        let answer = json!({ "access_token": format!("access-{number}"), "token_type": "Bearer", "expires_in": 60 });
        Answer::new(200).json(&answer)
    });
    // RFC 7523 §3.1: the client need not authenticate.
    let api = OAuth::builder(server.url(""), Grant::jwt_bearer(SecretSource::file(&file))).scope("read").build();
    let session = Session::new(api.unwrap());
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable, "{error}");
    for assertion in ["one.two.three", "four.five.six"] {
        std::fs::write(&file, format!("{assertion}\n")).unwrap();
        session.refresh_now().await.unwrap();
        let seen = server.seen();
        let [sent] = for_tokens(&seen)[..] else { panic!("{seen:?}") };
        assert_eq!(value(sent, "grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(value(sent, "assertion").unwrap(), assertion);
        assert_eq!((value(sent, "scope").as_deref(), value(sent, "client_id")), (Some("read"), None));
    }
}

#[tokio::test]
async fn a_token_is_exchanged_for_another_and_that_one_is_refreshed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("subject");
    std::fs::write(&file, "subject.of.it").unwrap();
    let server = provider(|_, number| tokens(number));
    let exchange = TokenExchange::new(SecretSource::file(&file), TokenType::jwt())
        .actor("actor-token", TokenType::access_token())
        .requested_type(TokenType::uri("urn:example:token"));
    let api = OAuth::builder(server.url(""), exchange)
        .client_auth(ClientAuth::basic("catalog", "S3cret"))
        .audience("api")
        .scope("read")
        .build()
        .unwrap();
    let session = Session::new(api);
    session.token().await.unwrap();
    session.refresh_now().await.unwrap();
    let seen = server.seen();
    let [login, refresh] = for_tokens(&seen)[..] else { panic!("{seen:?}") };
    for (name, expected) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "subject.of.it"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("actor_token", "actor-token"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("requested_token_type", "urn:example:token"),
        ("audience", "api"),
        ("scope", "read"),
    ] {
        assert_eq!(value(login, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(value(refresh, "refresh_token").unwrap(), "refresh-0");
}

#[tokio::test]
async fn a_logout_revokes_the_refresh_token_as_the_client() {
    let server = provider(|request, number| if request.path() == "/token" { tokens(number) } else { Answer::new(200) });
    let api = OAuth::builder(server.url(""), TokenExchange::new("subject", TokenType::jwt()))
        .client_auth(ClientAuth::basic("catalog", "S3cret"))
        .build()
        .unwrap();
    let session = Session::new(api);
    session.token().await.unwrap();
    session.logout().await.unwrap();
    let seen = server.seen();
    let revocation = seen.last().unwrap();
    assert_eq!(revocation.path(), "/revoke");
    assert_eq!(value(revocation, "token").unwrap(), "refresh-0");
    assert_eq!(value(revocation, "token_type_hint").unwrap(), "refresh_token");
    assert_eq!(revocation.header("authorization"), "Basic Y2F0YWxvZzpTM2NyZXQ=");
}

#[tokio::test]
async fn all_requests_go_through_the_http_client_that_was_given() {
    let server = provider(|_, number| tokens(number));
    let client = |agent: &'static str| HttpClient::new(move || reqwest::Client::builder().user_agent(agent));
    let api = OAuth::builder(server.url(""), Grant::client_credentials())
        .client_auth(ClientAuth::basic("catalog", "S3cret"))
        .client(client("one"))
        .build()
        .unwrap();
    api.login().await.unwrap();
    let other = api.with_client(&client("two")).unwrap();
    other.login().await.unwrap();
    other.probe().await.unwrap().unwrap();
    let agents: Vec<_> = server.seen().iter().map(|request| request.header("user-agent").to_owned()).collect();
    // The document, a login; a login and the probe. The endpoints are known by then.
    assert_eq!(agents, ["one", "one", "two", "two"]);
}

#[test]
fn nothing_secret_is_shown() {
    let exchange = TokenExchange::new("S3cret", TokenType::jwt()).actor("S3cret", TokenType::jwt());
    for builder in [
        OAuth::builder("https://id.example", exchange),
        OAuth::builder("https://id.example", Grant::jwt_bearer("S3cret")),
    ] {
        let builder = builder.client_auth(ClientAuth::basic("catalog", "S3cret"));
        let shown = format!("{builder:?}");
        assert!(!format!("{shown} {:#?}", builder.build().unwrap()).contains("S3cret"));
    }
}
