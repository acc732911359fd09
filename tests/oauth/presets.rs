//! The presets of providers, against the answers that their documentation shows.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder, SigningKey};
use jwt_refresh::{Authenticator, ClientAuth, Error, ErrorKind, HttpAuthenticator, SecretSource, Session};
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::private_key::{rsa, verified};
use crate::provider::{issuer, value};
use crate::server::{Seen, Server};

/// A key in PEM, and its public half.
static KEY: LazyLock<(String, Vec<u8>)> = LazyLock::new(rsa);

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A provider with this issuer and these endpoints below its host, which gives these answers to
/// requests for tokens, one after the other.
fn provider(issuer_path: &'static str, token_path: &'static str, answers: Vec<Answer>) -> Server {
    let mut answers = answers.into_iter();
    Server::start(move |request, _| {
        let host = issuer(request);
        let well_known = format!("{}/.well-known/openid-configuration", issuer_path.trim_end_matches('/'));
        if request.path() == well_known {
            return Answer::new(200).json(&json!({
                "issuer": format!("{host}{issuer_path}"),
                "token_endpoint": format!("{host}{token_path}"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }));
        }
        if request.path() == token_path { answers.next().unwrap() } else { Answer::new(404) }
    })
}

fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::new(status).json(body)
}

fn posts(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|request| request.method() == "POST").collect()
}

/// Logs in twice: for tokens, and for a refusal.
async fn both(api: OAuthBuilder) -> (String, Error) {
    let api = api.build().unwrap();
    let tokens = api.login().await.unwrap();
    (tokens.access().expose().to_owned(), api.login().await.unwrap_err())
}

fn server_id(api: OAuthBuilder) -> String {
    api.client_auth(ClientAuth::public("app")).build().unwrap().server_id().unwrap()
}

#[test]
fn a_provider_is_named_by_what_it_calls_its_customers() {
    let grant = Grant::client_credentials;
    for (api, issuer) in [
        (OAuth::auth0("shop.eu.auth0.com", "api", grant()), "https://shop.eu.auth0.com/"),
        (OAuth::auth0("https://shop.eu.auth0.com/", "api", grant()), "https://shop.eu.auth0.com/"),
        (OAuth::entra("8eaef023-2b34", grant()), "https://login.microsoftonline.com/8eaef023-2b34/v2.0"),
        (OAuth::entra("https://login.microsoftonline.us/8e/", grant()), "https://login.microsoftonline.us/8e/v2.0"),
        (OAuth::keycloak("sso.example", "my shop", grant()), "https://sso.example/realms/my%20shop"),
        (OAuth::keycloak("https://sso.example/auth", "shop", grant()), "https://sso.example/auth/realms/shop"),
        (OAuth::okta("shop.okta.com", Some("default"), grant()), "https://shop.okta.com/oauth2/default"),
        (OAuth::okta("shop.okta.com", None, grant()), "https://shop.okta.com"),
        (OAuth::google_service_account("{}"), "https://oauth2.googleapis.com/token"),
    ] {
        assert_eq!(server_id(api), issuer);
    }
    let plain = OAuth::keycloak("http://sso.example", "shop", grant()).client_auth(ClientAuth::public("app"));
    assert_eq!(plain.build().unwrap_err().kind(), ErrorKind::Configuration);
    assert!(HttpAuthenticator::github_app("http://github.example", "app", SigningKey::pem(""), 1).build().is_err());
}

#[tokio::test]
async fn auth0_is_asked_for_a_token_for_the_api() {
    let granted = json!({ "access_token": "eyJz93a...k4laUWw", "token_type": "Bearer", "expires_in": 86400 });
    let refused = json!({ "error": "access_denied", "error_description": "Unauthorized" });
    let server = provider("/", "/oauth/token", vec![json_answer(200, &granted), json_answer(401, &refused)]);
    let api = OAuth::auth0(server.url(""), "https://api.example", Grant::client_credentials());
    let (access, error) = both(api.client_auth(ClientAuth::in_body("app", "S3cret"))).await;
    assert_eq!((&*access, error.kind(), error.code()), ("eyJz93a...k4laUWw", ErrorKind::Denied, Some("access_denied")));
    let sent = &posts(&server)[0];
    for (name, expected) in [
        ("grant_type", "client_credentials"),
        ("client_id", "app"),
        ("client_secret", "S3cret"),
        ("audience", "https://api.example"),
    ] {
        assert_eq!(value(sent, name).as_deref(), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn entra_is_asked_as_a_client_with_a_secret_or_with_a_certificate() {
    let granted = json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0eXAi..." });
    let refused = json!({
        "error": "invalid_scope",
        "error_description": "AADSTS70011: The provided value for the input parameter 'scope' is not valid.",
        "error_codes": [70011],
        "timestamp": "2026-01-09 02:02:12Z",
        "trace_id": "255d1aef-8c98-452f-ac51-23d051240864",
        "correlation_id": "fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7",
    });
    let (key, public) = &*KEY;
    let certificate = b"the certificate in DER";
    let encoded = STANDARD.encode(certificate);
    let pem = format!("{key}-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
    let key = SigningKey::pem(&*pem).certificate(&*pem).pss();
    let (issuer, endpoint) = ("/8eaef023/v2.0", "/8eaef023/oauth2/v2.0/token");
    let clients: [&dyn Fn(OAuthBuilder) -> OAuthBuilder; 2] =
        [&|api| api.client_auth(ClientAuth::in_body("app", "S3cret")), &|api| api.private_key_jwt("app", key.clone())];
    for client in clients {
        let server = provider(issuer, endpoint, vec![json_answer(200, &granted), json_answer(400, &refused)]);
        let api = OAuth::entra(server.url("/8eaef023"), Grant::client_credentials());
        let (access, error) = both(client(api).scope("https://graph.microsoft.com/.default")).await;
        let code = error.code();
        assert_eq!((&*access, error.kind(), code), ("eyJ0eXAi...", ErrorKind::Denied, Some("invalid_scope")));
        let sent = &posts(&server)[0];
        assert_eq!(value(sent, "client_id").unwrap(), "app");
        assert_eq!(value(sent, "scope").unwrap(), "https://graph.microsoft.com/.default");
        let Some(assertion) = value(sent, "client_assertion") else {
            assert_eq!(value(sent, "client_secret").unwrap(), "S3cret");
            continue;
        };
        let (header, claims) = verified(&assertion, &RSA_PSS_2048_8192_SHA256, public);
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate));
        assert_eq!(header, json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint }));
        assert_eq!((&claims["iss"], &claims["sub"]), (&"app".into(), &"app".into()));
        assert_eq!(claims["aud"], server.url(endpoint));
        assert!(claims["jti"].is_string() && claims["exp"].is_u64(), "{claims}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_is_named_and_nothing_is_sent() {
    let server = provider("/8eaef023/v2.0", "/8eaef023/oauth2/v2.0/token", vec![]);
    let key = SigningKey::pem(KEY.0.as_str()).certificate("S3cret");
    let api = OAuth::entra(server.url("/8eaef023"), Grant::client_credentials()).private_key_jwt("app", key);
    let error = api.build().unwrap().login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("`certificate`") && !shown.contains("S3cret"), "{shown}");
    assert!(posts(&server).is_empty());
}

#[tokio::test]
async fn keycloak_is_asked_in_the_realm() {
    let granted = json!({
        "access_token": "2YotnFZFEjr1zCsicMWpAA", "token_type": "bearer", "expires_in": 60,
        "refresh_expires_in": 0, "not-before-policy": 0, "scope": "profile email",
    });
    let refused =
        json!({ "error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials" });
    let endpoint = "/realms/shop/protocol/openid-connect/token";
    let server = provider("/realms/shop", endpoint, vec![json_answer(200, &granted), json_answer(401, &refused)]);
    let api = |realm| {
        let api = OAuth::keycloak(server.url(""), realm, Grant::client_credentials());
        api.client_auth(ClientAuth::basic("product-sa-client", "password"))
    };
    let (access, error) = both(api("shop")).await;
    assert_eq!((&*access, error.kind()), ("2YotnFZFEjr1zCsicMWpAA", ErrorKind::Denied));
    let sent = &posts(&server)[0];
    assert_eq!(sent.header("authorization"), "Basic cHJvZHVjdC1zYS1jbGllbnQ6cGFzc3dvcmQ=");
    assert_eq!(value(sent, "grant_type").unwrap(), "client_credentials");
    // A realm that there is not: a mistake, and no credential is sent.
    assert_eq!(api("other").build().unwrap().login().await.unwrap_err().kind(), ErrorKind::Configuration);
    assert!(posts(&server).is_empty());
}

#[tokio::test]
async fn okta_is_asked_at_an_authorization_server_or_at_the_organization() {
    let granted =
        json!({ "access_token": "eyJhbG[...]1LQ", "token_type": "Bearer", "expires_in": 3600, "scope": "customScope" });
    let refused = json!({
        "error": "invalid_scope",
        "error_description": "One or more scopes are not configured for the authorization server resource.",
    });
    let (pem, public) = &*KEY;
    for (id, issuer, endpoint) in
        [(Some("default"), "/oauth2/default", "/oauth2/default/v1/token"), (None, "", "/oauth2/v1/token")]
    {
        let server = provider(issuer, endpoint, vec![json_answer(200, &granted), json_answer(400, &refused)]);
        let api = OAuth::okta(server.url(""), id, Grant::client_credentials())
            .private_key_jwt("app", SigningKey::pem(pem.as_str()).id("jwks1"))
            .scope("customScope");
        let (access, error) = both(api).await;
        assert_eq!((&*access, error.kind()), ("eyJhbG[...]1LQ", ErrorKind::Denied));
        let sent = &posts(&server)[0];
        assert_eq!((sent.path(), &*value(sent, "scope").unwrap()), (endpoint, "customScope"));
        let assertion = value(sent, "client_assertion").unwrap();
        let (header, claims) = verified(&assertion, &RSA_PKCS1_2048_8192_SHA256, public);
        assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "jwks1" }));
        assert_eq!(claims["aud"], server.url(endpoint));
    }
}

/// The key file of a service account, in its documented form.
fn key_file(private_key: &str, token_uri: &str) -> String {
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "abcdef1234567890",
        "private_key": private_key,
        "client_email": "761326798069@developer.gserviceaccount.com",
        "client_id": "761326798069",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
    })
    .to_string()
}

#[tokio::test]
async fn a_google_service_account_signs_for_its_scopes_with_the_key_of_its_file() {
    let granted = json!({
        "access_token": "1/8xbJqaOZXSUZbHLl5EOtu1pxz3fmmetKx9W8CV4t79M",
        "scope": "https://www.googleapis.com/auth/prediction",
        "token_type": "Bearer",
        "expires_in": 3600,
    });
    let refused = json!({ "error": "invalid_grant", "error_description": "Not a valid email or user ID." });
    let mut answers = [json_answer(200, &granted), json_answer(200, &granted), json_answer(400, &refused)].into_iter();
    let server = Server::start(move |_, _| answers.next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let other = rsa();
    let scopes = "https://www.googleapis.com/auth/prediction https://www.googleapis.com/auth/cloud-platform";
    let api = OAuth::google_service_account(SecretSource::file(&file)).scope(scopes).build().unwrap();
    let session = Session::new(api.clone());
    for (key, public) in [&*KEY, &other] {
        std::fs::write(&file, key_file(key, &server.url("/token"))).unwrap();
        let token = session.refresh_now().await.unwrap();
        assert_eq!(token.expose(), "1/8xbJqaOZXSUZbHLl5EOtu1pxz3fmmetKx9W8CV4t79M");
        let seen = server.seen();
        let [sent] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((sent.method(), sent.path()), ("POST", "/token"));
        assert_eq!(value(sent, "grant_type").unwrap(), JWT_BEARER);
        assert_eq!((value(sent, "scope"), value(sent, "client_id")), (None, None));
        let (header, claims) = verified(&value(sent, "assertion").unwrap(), &RSA_PKCS1_2048_8192_SHA256, public);
        assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "abcdef1234567890" }));
        let issued = claims["iat"].as_u64().unwrap();
        let expected = json!({
            "iss": "761326798069@developer.gserviceaccount.com",
            "scope": scopes,
            "aud": server.url("/token"),
            "iat": issued,
            "exp": issued + 3600,
        });
        assert_eq!(claims, expected);
    }
    let error = api.login().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_grant")));
}

#[tokio::test]
async fn a_key_file_that_cannot_be_used_is_named_and_not_shown() {
    let (pem, _) = &*KEY;
    let without = |name: &str| {
        let mut file: Value = serde_json::from_str(&key_file(pem, "https://id.example/token")).unwrap();
        file.as_object_mut().unwrap().remove(name).unwrap();
        file.to_string()
    };
    let unfit = [
        ("S3cret".to_owned(), ErrorKind::SecretUnavailable, "no JSON object"),
        (key_file("S3cret", "https://id.example/token"), ErrorKind::SecretUnavailable, "`private_key`"),
        (key_file(pem, "S3cret"), ErrorKind::SecretUnavailable, "`token_uri`"),
        (without("client_email"), ErrorKind::SecretUnavailable, "`client_email`"),
        (without("private_key"), ErrorKind::SecretUnavailable, "`private_key`"),
        // Where the assertion would go, everyone could read it.
        (key_file(pem, "http://id.example/token"), ErrorKind::Configuration, "plain http"),
    ];
    for (file, kind, what) in unfit {
        let error = OAuth::google_service_account(file).build().unwrap().login().await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{shown}");
        assert!(shown.contains(what) && !shown.contains("S3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_github_app_asks_for_a_token_of_an_installation_by_a_jwt_of_its_own() {
    let granted = |number: usize| {
        json!({
            "token": format!("ghs_16C7e42F292c6912E7710c838347Ae178B4a{number}"),
            "expires_at": "2126-07-11T22:14:10Z",
            "permissions": { "issues": "write", "contents": "read" },
        })
    };
    let server = Server::start(move |_, number| json_answer(201, &granted(number)));
    let (pem, public) = &*KEY;
    let app = HttpAuthenticator::github_app(server.url(""), "Iv23liabc", SigningKey::pem(pem.as_str()), 1);
    let app = app.build().unwrap();
    let other = app.with_value("installation", "2").unwrap();
    for (number, (app, path)) in
        [(app, "/app/installations/1/access_tokens"), (other, "/app/installations/2/access_tokens")]
            .into_iter()
            .enumerate()
    {
        let tokens = app.login().await.unwrap();
        assert!(tokens.access().expose().ends_with(&format!("4a{number}")));
        assert!(tokens.refresh().is_none() && tokens.expiry().is_some());
        let seen = server.seen();
        let [sent] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((sent.method(), sent.path(), sent.body()), ("POST", path, ""));
        assert_eq!(sent.header("accept"), "application/vnd.github+json");
        assert_eq!(sent.header("x-github-api-version"), "2022-11-28");
        assert!(sent.header("user-agent").starts_with("jwt-refresh/"));
        let jwt = sent.header("authorization").strip_prefix("Bearer ").unwrap();
        let (header, claims) = verified(jwt, &RSA_PKCS1_2048_8192_SHA256, public);
        assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT" }));
        let issued = claims["iat"].as_u64().unwrap();
        assert_eq!(claims, json!({ "iss": "Iv23liabc", "iat": issued, "exp": issued + 600 }));
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(issued + 60 <= now && now < issued + 600, "{claims}, and it is {now}");
    }
    let shown = format!("{:?}", HttpAuthenticator::github_app("api.github.com", "app", SigningKey::pem("S3cret"), 1));
    assert!(!shown.contains("S3cret"), "{shown}");
}

#[tokio::test]
async fn github_refuses_a_jwt_knows_no_installation_or_has_no_time() {
    let answers = [
        (Answer::new(401), "A JSON web token could not be decoded", ErrorKind::Denied),
        (Answer::new(403), "This installation has been suspended", ErrorKind::Denied),
        (Answer::new(404), "Not Found", ErrorKind::Configuration),
        (Answer::new(403).header("x-ratelimit-remaining", "0"), "API rate limit exceeded", ErrorKind::Unavailable),
        (Answer::new(429).header("retry-after", "60"), "Slow down", ErrorKind::Unavailable),
    ];
    let (pem, _) = &*KEY;
    for (answer, message, kind) in answers {
        let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest" });
        let mut answer = Some(answer.json(&body));
        let server = Server::start(move |_, _| answer.take().unwrap());
        let app =
            HttpAuthenticator::github_app(server.url(""), "app", SigningKey::pem(pem.as_str()), 1).build().unwrap();
        let error = app.login().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{message}: {error}");
    }
    let app = HttpAuthenticator::github_app("api.github.com", "app", SigningKey::pem("S3cret"), 1).build().unwrap();
    let error = app.login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
    assert!(error.to_string().contains("`private_key`") && !format!("{error:?}").contains("S3cret"), "{error:?}");
}
