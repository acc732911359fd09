//! Logins of many shapes, described to the client, and to the server of the test kit, which gives
//! them what its own login has: tokens that expire, and refresh tokens that rotate.

use jwt_refresh::prelude::*;
use jwt_refresh::{HttpAuthenticatorBuilder, LifetimeUnit, TokenFields};
use jwt_refresh_testkit::{Answer, Builder, TestServer, TokenFormat};
use serde_json::json;

use crate::support::{BoxError, MINUTE, World, http_client};

#[refresh_token(from = session, token, retry)]
async fn product(server: &TestServer, session: &Session) -> Result<(), BoxError> {
    let request = http_client().get(server.url("/api/v1/products/1")).bearer(&token);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Calls the API three times, with tokens that expire in between, and returns how many calls the
/// API rejected.
async fn lives_on(server: Builder, client: impl Fn(&TestServer) -> HttpAuthenticatorBuilder) -> u64 {
    let world = World::with(server.access_lifetime(MINUTE).start());
    let session = Session::builder(client(&world.server).build().unwrap()).clock(&world.clock).build();
    for _ in 0..3 {
        product(&world.server, &session).await.unwrap();
        world.pass(MINUTE);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses, stats.api_calls), (1, 2, 0, 3));
    stats.rejected
}

/// An authenticator for the kit's own login, with another refresh.
fn login_and(server: &TestServer, refresh: HttpRequest) -> HttpAuthenticatorBuilder {
    HttpAuthenticator::builder(server.url("/api/auth/login"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .refresh(refresh)
}

#[tokio::test]
async fn tokens_in_an_object_with_a_lifetime_in_milliseconds() {
    let server = TestServer::builder()
        .token_format(TokenFormat::Opaque)
        .login("POST", "/v2/session", |request| Some((request.field("user")?, request.field("pass")?)))
        .refresh("PUT", "/v2/session", |request| request.field("renew.with"))
        .token_answer(|tokens| {
            let ttl = u64::try_from(tokens.lifetime.as_millis()).unwrap();
            json!({ "data": { "accessToken": tokens.access_token, "refresh": tokens.refresh_token, "ttl": ttl } })
        });
    let fields = TokenFields::default().access_token("data.accessToken").refresh_token("data.refresh");
    let fields = fields.expires_in("data.ttl", LifetimeUnit::Milliseconds);
    let rejected = lives_on(server, |server| {
        let refresh = HttpRequest::new("PUT", server.url("/v2/session"));
        HttpAuthenticator::builder(server.url("/v2/session"))
            .field("user", server.email())
            .secret_field("pass", server.password())
            .refresh(refresh.json(json!({ "renew": { "with": "{refresh_token}" } })))
            .answer(fields.clone())
    });
    assert_eq!(rejected.await, 0);
}

#[tokio::test]
async fn a_refresh_token_in_a_cookie_beside_a_date_of_expiry() {
    let server = TestServer::builder()
        .token_format(TokenFormat::Opaque)
        .refresh("POST", "/renew", |request| Some(request.cookie("refresh")?.to_owned()))
        .token_answer(|tokens| {
            let refresh = tokens.refresh_token.as_deref().unwrap();
            let expires = httpdate::fmt_http_date(tokens.expires_at);
            Answer::from(json!({ "jwt": tokens.access_token, "expires": expires }))
                .header("Set-Cookie", &format!("refresh={refresh}; Path=/renew; HttpOnly"))
        });
    let fields = TokenFields::default().access_token("jwt").refresh_token("cookie:refresh").expires_at("expires");
    let rejected = lives_on(server, |server| {
        let refresh = HttpRequest::post(server.url("/renew")).cookie("refresh", "{refresh_token}");
        login_and(server, refresh).answer(fields.clone())
    });
    assert_eq!(rejected.await, 0);
}

#[tokio::test]
async fn tokens_in_headers_of_which_nothing_says_how_long_they_live() {
    let server = TestServer::builder()
        .token_format(TokenFormat::Opaque)
        .refresh("GET", "/renew", |request| Some(request.header("x-refresh")?.to_owned()))
        .token_answer(|tokens| {
            let refresh = tokens.refresh_token.as_deref().unwrap();
            Answer::new(204).header("X-Token", &tokens.access_token).header("X-Refresh", refresh)
        });
    let fields = TokenFields::default().access_token("header:x-token").refresh_token("header:x-refresh");
    let rejected = lives_on(server, |server| {
        let refresh = HttpRequest::get(server.url("/renew")).header("x-refresh", "{refresh_token}");
        login_and(server, refresh).answer(fields.clone())
    });
    assert_eq!(rejected.await, 2);
}

#[tokio::test]
async fn one_endpoint_of_oauth_for_passwords_and_refresh_tokens() {
    let server = TestServer::builder()
        .login("POST", "/oauth/token", |request| Some((request.field("username")?, request.field("password")?)))
        .refresh("POST", "/oauth/token", |request| request.field("refresh_token"));
    let rejected = lives_on(server, |server| {
        HttpAuthenticator::password_grant(server.url("/oauth/token"), server.email(), server.password())
    });
    assert_eq!(rejected.await, 0);
}
