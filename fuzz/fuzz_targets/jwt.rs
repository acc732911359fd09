//! Decodes access tokens as JWTs.
//!
//! The input is a token; or, if its first byte is `{`, a header and a payload with a line break
//! between them, of which a token is made.
//!
//! A token whose parts are objects is decoded, and what is read from it is what was encoded. One
//! that is no JWT is an access token all the same. No error and no `Debug` output shows the secret.
#![no_main]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use jwt_refresh_core::AccessToken;
use jwt_refresh_core::jwt::{Claims, Jwt};
use jwt_refresh_fuzz::{SECRET, assert_debug_hides, assert_error_hides};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// Claims that have methods of their own.
const REGISTERED: [&str; 7] = ["sub", "iss", "jti", "aud", "exp", "iat", "nbf"];

fuzz_target!(|data: &[u8]| {
    if data.starts_with(b"{") {
        decode_encoded(data);
    } else if let Ok(token) = str::from_utf8(data) {
        decode(token);
    }
});

fn decode(token: &str) {
    match Jwt::decode(token) {
        Ok(jwt) => assert!(token.ends_with(jwt.signature())),
        Err(error) => assert_error_hides(&error),
    }
    match AccessToken::new(token) {
        Ok(access) => {
            assert_eq!(access.expose(), token);
            assert_eq!(access.jwt().is_some(), Jwt::decode(token).is_ok());
            assert_debug_hides(&access);
        }
        Err(error) => assert_error_hides(&error),
    }
}

fn decode_encoded(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(header), Some(payload)) = (parts.next(), parts.next()) else { return };
    let token = format!("{}.{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload), BASE64URL.encode(SECRET));
    decode(&token);
    let object = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).ok();
    let (Some(header), Some(payload)) = (object(header), object(payload)) else { return };
    let jwt = Jwt::decode(&token).expect("its parts are objects");
    let shown = format!("{jwt:?}");
    assert!(!shown.contains(jwt.signature()), "the signature is shown: {shown}");
    assert_eq!(jwt.header().algorithm(), header.get("alg").and_then(Value::as_str));
    assert_claims(jwt.claims(), &payload);
}

fn assert_claims(claims: &Claims, payload: &Map<String, Value>) {
    let text = |name| payload.get(name).and_then(Value::as_str);
    assert_eq!(
        (claims.subject(), claims.issuer(), claims.id()),
        (text("sub"), text("iss"), text("jti")),
        "{payload:?}"
    );
    for (name, value) in payload.iter().filter(|(name, _)| !REGISTERED.contains(&name.as_str())) {
        assert_eq!(claims.get(name), Some(value).filter(|value| !value.is_null()), "{name}");
    }
    // A registered claim is read, or among the others because it is malformed; it is never lost.
    let dates = [("exp", claims.expires_at()), ("iat", claims.issued_at()), ("nbf", claims.not_before())];
    for (name, date) in dates {
        let is_there = payload.get(name).is_some_and(|value| !value.is_null());
        assert_eq!(date.is_some() != claims.get(name).is_some(), is_there, "{name}");
    }
}
