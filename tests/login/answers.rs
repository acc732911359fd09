//! What is read: where tokens and lifetimes stand in an answer, and what an answer means.

use std::time::{Duration, SystemTime};

use jwt_refresh::{
    AnswerMatch, Authenticator, ErrorKind, HttpAuthenticator, HttpRequest, LifetimeUnit, RefreshToken, Session,
    TokenFields, Tokens,
};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::server::Server;

async fn login_with(fields: TokenFields, body: Value) -> Tokens {
    let server = Server::start(move |_, _| Answer::new(201).json(&body));
    HttpAuthenticator::builder(server.url("/login")).answer(fields).build().unwrap().login().await.unwrap()
}

#[tokio::test]
async fn tokens_can_stand_in_headers_in_cookies_or_be_the_whole_body() {
    let server = Server::start(|_, _| {
        Answer::from(json!({"ok": true}))
            .header("authorization", "bearer a-header")
            .header("set-cookie", "rt=r-cookie; Path=/")
    });
    let fields = TokenFields::default().access_token("header:Authorization").refresh_token("cookie:rt");
    let api = HttpAuthenticator::builder(server.url("/login")).answer(fields).build().unwrap();
    let tokens = api.login().await.unwrap();
    assert_eq!((tokens.access().expose(), tokens.refresh().unwrap().expose()), ("a-header", "r-cookie"));

    let server = Server::start(|_, _| Answer::new(200).body("text/plain", "a-whole\n"));
    let fields = TokenFields::default().access_token("body:");
    let api = HttpAuthenticator::builder(server.url("/login")).answer(fields).build().unwrap();
    let tokens = api.login().await.unwrap();
    assert_eq!((tokens.access().expose(), tokens.refresh()), ("a-whole", None));
}

#[tokio::test]
async fn a_lifetime_is_read_in_seconds_milliseconds_as_a_date_as_epoch_or_not_at_all() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    for value in [
        json!("2033-05-18T03:33:20Z"),
        json!("2033-05-18T05:33:20.000+02:00"),
        json!(2_000_000_000),
        json!("2000000000"),
        json!(2_000_000_000_000_u64),
        json!("Wed, 18 May 2033 03:33:20 GMT"),
    ] {
        let fields = TokenFields::default().expires_at("data.until");
        let tokens = login_with(fields, json!({"access_token": "a", "data": {"until": value}})).await;
        assert_eq!(tokens.expiry(), Some(at), "{value}");
    }
    let millis = TokenFields::default().expires_in("ttl", LifetimeUnit::Milliseconds);
    let tokens = login_with(millis, json!({"access_token": "a", "ttl": 1500})).await;
    assert_eq!(tokens.lifetime(), Some(Duration::from_millis(1500)));
    let none = TokenFields::default().without_expires_in();
    let tokens = login_with(none, json!({"access_token": "a", "expires_in": 1})).await;
    assert_eq!((tokens.lifetime(), tokens.expiry()), (None, None));
}

#[tokio::test]
async fn a_lifetime_that_the_description_knows_counts_only_where_the_server_says_nothing() {
    let hour = Duration::from_secs(3600);
    let fields = || TokenFields::default().expires_at("until").lives_for(hour);
    // `{"alg":"HS256"}.{"exp":2000000000}.sig`
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDAwMDAwMDB9.c2ln";
    for (body, lifetime) in [
        (json!({"access_token": "a"}), Some(hour)),
        (json!({"access_token": "a", "expires_in": 60}), Some(Duration::from_secs(60))),
        (json!({"access_token": "a", "until": 2_000_000_000}), None),
        (json!({"access_token": jwt}), None),
    ] {
        assert_eq!(login_with(fields(), body.clone()).await.lifetime(), lifetime, "{body}");
    }
}

#[tokio::test]
async fn the_answer_to_a_refresh_can_have_other_fields_than_that_to_a_login() {
    let server = Server::start(|request, _| match request.path() {
        "/login" => Answer::from(json!({"tokens": {"access": "a1", "refresh": "r1"}})),
        _ => Answer::from(json!([{"jwt": "a2"}])).header("x-refresh", "r2"),
    });
    let api = HttpAuthenticator::builder(server.url("/login"))
        .refresh_url(server.url("/refresh"))
        .answer(TokenFields::default().access_token("tokens.access").refresh_token("tokens.refresh"))
        .refresh_answer(TokenFields::default().access_token("0.jwt").refresh_token("header:x-refresh"))
        .build()
        .unwrap();
    let tokens = api.login().await.unwrap();
    let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
    assert_eq!((renewed.access().expose(), renewed.refresh().unwrap().expose()), ("a2", "r2"));
}

#[tokio::test]
async fn an_answer_of_an_unknown_shape_is_shown_by_keys_and_types_beside_what_was_expected() {
    let server = Server::start(|_, _| Answer::from(json!({"data": {"token": "S3cret", "ttl": 60}, "ok": true})));
    let error = HttpAuthenticator::builder(server.url("/login")).build().unwrap().login().await.unwrap_err();
    let shown = error.to_string();
    for part in [
        "the access token was expected in field `access_token`",
        "the answer is {data: {token: string, ttl: number}, ok: bool}",
        "it may be in `data.token`",
        "/login (status 200): field `access_token` is missing: ",
        "; check that the URL is the token endpoint, and that the field names are the server's",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(shown.starts_with("the login brought no usable access token at http://127.0.0.1:"), "{shown}");
    assert!(!format!("{error:?}{shown}").contains("S3cret"));
    let server = Server::start(|_, _| Answer::new(204));
    let error = HttpAuthenticator::builder(server.url("/login")).build().unwrap().login().await.unwrap_err();
    assert!(error.to_string().contains("the answer is an empty body"), "{error}");
}

#[tokio::test]
async fn what_an_answer_means_can_be_described_where_a_server_differs_from_the_table() {
    let server = Server::start(|request, _| {
        let code = request.path().rsplit('/').next().unwrap().to_owned();
        match code.as_str() {
            "EXPIRED" => Answer::from(json!({"status": "fail", "code": code})),
            "BUSY" => Answer::new(400).json(&json!({"code": code})).header("retry-after", "7"),
            "ODD" => Answer::new(401).json(&json!({"code": code})),
            "moved" => Answer::new(302).header("set-cookie", "session=a; Path=/"),
            _ => Answer::new(500).json(&json!({"error": "S3cret"})),
        }
    });
    let refresh = |path: &str| {
        let request = HttpRequest::post(server.url(path))
            .json_field("t", "{refresh_token}")
            .dead_if(AnswerMatch::status(200).with("code", "EXPIRED"))
            .dead_if(AnswerMatch::status(500))
            .later_if(AnswerMatch::value("code", "BUSY"))
            .in_doubt_if(AnswerMatch::value("code", "ODD"))
            .success_if(AnswerMatch::statuses(302..=303));
        HttpAuthenticator::without_login()
            .refresh(request)
            .answer(TokenFields::default().access_token("cookie:session"))
            .build()
            .unwrap()
    };
    for (path, kind, wait) in [
        ("/EXPIRED", ErrorKind::Denied, None),
        ("/500", ErrorKind::Denied, None),
        ("/BUSY", ErrorKind::Unavailable, Some(7)),
        ("/ODD", ErrorKind::Unavailable, None),
    ] {
        let error = refresh(path).refresh(&RefreshToken::from("r")).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (kind, wait.map(Duration::from_secs)), "{path}");
        assert!(!format!("{error} {error:?}").contains("S3cret"), "{error}");
    }
    assert_eq!(refresh("/moved").refresh(&RefreshToken::from("r")).await.unwrap().access().expose(), "a");
}

#[tokio::test]
async fn a_refresh_token_is_in_doubt_exactly_after_the_answers_that_the_description_says() {
    for (in_doubt, path) in [(false, "/later"), (true, "/doubt")] {
        let server = Server::start(|request, before| match request.path() {
            "/login" => {
                Answer::from(json!({"access_token": format!("a{before}"), "refresh_token": "r", "expires_in": 60}))
            }
            _ if before == 1 => Answer::new(500).json(&json!({"code": "ODD"})),
            _ => Answer::from(json!({"access_token": "renewed", "expires_in": 60})),
        });
        let refresh = HttpRequest::post(server.url(path)).json_field("t", "{refresh_token}");
        let odd = AnswerMatch::value("code", "ODD");
        let refresh = if in_doubt { refresh.in_doubt_if(odd) } else { refresh.later_if(odd) };
        let api = HttpAuthenticator::builder(server.url("/login")).refresh(refresh).build().unwrap();
        let clock = jwt_refresh::ManualClock::new();
        let session = Session::builder(api).clock(&clock).connect().await.unwrap();
        clock.advance(Duration::from_secs(61));
        session.token().await.unwrap_err();
        clock.advance(Duration::from_secs(61));
        session.token().await.unwrap();
        let paths: Vec<_> = server.seen().into_iter().map(|request| request.path().to_owned()).collect();
        assert_eq!(paths, ["/login", path, if in_doubt { "/login" } else { path }]);
    }
}

#[tokio::test]
async fn json_that_is_the_whole_body_is_no_token() {
    for (body, kind) in [
        (json!({"error": "invalid_grant"}), ErrorKind::Denied),
        (json!({"message": "S3cret"}), ErrorKind::BadAnswer),
        (json!(["S3cret"]), ErrorKind::BadAnswer),
        (Value::Null, ErrorKind::BadAnswer),
    ] {
        let sent = body.clone();
        let server = Server::start(move |_, _| Answer::from(sent.clone()));
        let fields = TokenFields::default().access_token("body:");
        let api = HttpAuthenticator::builder(server.url("/login")).answer(fields).build().unwrap();
        let error = api.login().await.expect_err(&body.to_string());
        assert_eq!(error.kind(), kind, "{body}");
        assert!(!error.to_string().contains("S3cret"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_a_rule_calls_a_success_and_that_has_no_tokens_leaves_the_refresh_token_in_doubt() {
    let server = Server::start(|request, before| match request.path() {
        "/login" => Answer::from(json!({"access_token": format!("a{before}"), "refresh_token": "r", "expires_in": 60})),
        _ => Answer::new(302),
    });
    let refresh = HttpRequest::post(server.url("/refresh"))
        .json_field("t", "{refresh_token}")
        .success_if(AnswerMatch::status(302));
    let api = HttpAuthenticator::builder(server.url("/login")).refresh(refresh).build().unwrap();
    let clock = jwt_refresh::ManualClock::new();
    let session = Session::builder(api).clock(&clock).connect().await.unwrap();
    clock.advance(Duration::from_secs(61));
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::BadAnswer);
    clock.advance(Duration::from_secs(61));
    session.token().await.unwrap();
    let paths: Vec<_> = server.seen().into_iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/login", "/refresh", "/login"]);
}

#[tokio::test]
async fn a_number_that_is_no_date_does_not_say_when_a_token_expires() {
    for value in [json!(0), json!("0"), json!(3600), json!("3600"), json!(999_999_999)] {
        let fields = TokenFields::default().expires_at("until").lives_for(Duration::from_secs(60));
        let tokens = login_with(fields, json!({"access_token": "a", "until": value})).await;
        assert_eq!((tokens.expiry(), tokens.lifetime()), (None, Some(Duration::from_secs(60))), "{value}");
    }
}
