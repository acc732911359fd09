//! The formats of access tokens, and where their lifetime is stated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, dangerous::insecure_decode_claims, decode_header};
use jwt_refresh_testkit::{Builder, Hints, TestServer, TokenFormat};
use reqwest::StatusCode;
use serde_json::Value;

use crate::client::{Tokens, setup, setup_with, text};

fn claims(token: &str) -> Value {
    insecure_decode_claims(token).expect("a JWT")
}

async fn login_answer(builder: Builder) -> Value {
    setup_with(builder).login_answer().await
}

#[tokio::test]
async fn a_jwt_names_its_account_and_its_lifetime() {
    let setup = setup();
    let before = SystemTime::now();
    let tokens = setup.login().await;
    let claims = claims(&tokens.access);

    assert_eq!(claims["iss"], setup.server.base_url());
    assert_eq!(claims["sub"], "account-1");
    assert_eq!(claims["email"], setup.server.email());
    let iat = claims["iat"].as_f64().expect("a number");
    let exp = claims["exp"].as_f64().expect("a number");
    assert!((exp - iat - 60.0).abs() < 0.001, "{claims}");
    let before = before.duration_since(UNIX_EPOCH).expect("after 1970");
    assert!(iat > before.as_secs_f64() - 0.001, "{claims}");
    assert_eq!(claims["nbf"], claims["iat"]);
}

#[tokio::test]
async fn no_two_jwts_are_the_same() {
    let setup = setup_with(TestServer::builder().whole_seconds(true));
    let (first, second) = (setup.login().await, setup.login().await);
    assert_ne!(first.access, second.access);
    assert_ne!(claims(&first.access)["jti"], claims(&second.access)["jti"]);
}

#[tokio::test]
async fn a_tampered_jwt_is_rejected() {
    let setup = setup();
    let token = setup.login().await.access;
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{other}{}", &signature[1..]);
    assert_eq!(setup.api_status(&forged).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn opaque_and_encrypted_tokens_work_and_have_no_readable_claims() {
    for (format, dots) in [(TokenFormat::Opaque, 0), (TokenFormat::Jwe, 4)] {
        let setup = setup_with(TestServer::builder().token_format(format));
        let first = setup.login().await;
        let second = setup.refresh(&first.refresh).await;
        for Tokens { access, .. } in [&first, &second] {
            assert_eq!(access.matches('.').count(), dots);
            assert!(insecure_decode_claims::<Value>(access).is_err());
            assert_eq!(setup.api_status(access).await, StatusCode::OK);
        }
        setup.server.advance(Duration::from_secs(60));
        assert_eq!(setup.api_status(&first.access).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn rotating_the_signing_key_invalidates_access_tokens_of_every_format_but_no_refresh_token() {
    for format in [TokenFormat::Jwt, TokenFormat::Opaque, TokenFormat::Jwe] {
        let setup = setup_with(TestServer::builder().token_format(format));
        let first = setup.login().await;
        setup.server.rotate_signing_key();
        assert_eq!(setup.api_status(&first.access).await, StatusCode::UNAUTHORIZED);
        let second = setup.refresh(&first.refresh).await;
        assert_eq!(setup.api_status(&second.access).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn lifetime_hints_are_sent_only_where_configured() {
    for (hints, expires_in, exp) in [
        (Hints::Both, true, true),
        (Hints::ExpiresIn, true, false),
        (Hints::Exp, false, true),
        (Hints::None, false, false),
    ] {
        let answer = login_answer(TestServer::builder().lifetime_hints(hints)).await;
        let claims = claims(&text(&answer, "access_token"));
        assert_eq!(answer.get("expires_in").is_some(), expires_in, "{hints:?}");
        assert_eq!(claims.get("exp").is_some(), exp, "{hints:?}");
    }
}

#[tokio::test]
async fn a_token_without_lifetime_hints_still_expires() {
    let setup = setup_with(TestServer::builder().lifetime_hints(Hints::None));
    let tokens = setup.login().await;
    setup.server.advance(Duration::from_secs(60));
    assert_eq!(setup.api_status(&tokens.access).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn expires_in_is_an_integer_if_the_lifetime_is_whole_seconds() {
    for (lifetime, expected) in
        [(Duration::from_secs(2), "2"), (Duration::from_millis(1500), "1.5"), (Duration::from_millis(250), "0.25")]
    {
        let answer = login_answer(TestServer::builder().access_lifetime(lifetime)).await;
        assert_eq!(answer["expires_in"].to_string(), expected);
    }
}

#[tokio::test]
async fn whole_seconds_rounds_the_claims_and_the_server_applies_them() {
    let setup = setup_with(TestServer::builder().whole_seconds(true));
    let token = setup.login().await.access;
    let claims = claims(&token);
    assert!(claims["iat"].is_u64() && claims["exp"].is_u64(), "{claims}");
    assert_eq!(claims["exp"].as_u64().expect("whole") - claims["iat"].as_u64().expect("whole"), 60);
    assert_eq!(setup.api_status(&token).await, StatusCode::OK);
    setup.server.advance(Duration::from_secs(60));
    assert_eq!(setup.api_status(&token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_jwt_header_names_the_algorithm() {
    let token = setup().login().await.access;
    let header = decode_header(&token).expect("a JWT");
    assert_eq!(header.alg, Algorithm::HS256);
}
