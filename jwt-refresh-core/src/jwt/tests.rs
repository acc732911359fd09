use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::*;

fn encode(text: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn token(claims: &str) -> String {
    format!("{}.{}.{}", encode(r#"{"alg":"RS256","kid":"k1","typ":"at+jwt"}"#), encode(claims), encode("signature"))
}

fn error(claims: &str) -> String {
    Jwt::decode(&token(claims)).expect_err(claims).to_string()
}

#[test]
fn all_three_sections_are_decoded() {
    let claims = r#"{"sub":"ada","iss":"https://i","aud":["a","b"],"jti":"1","exp":1800000000.5,"iat":1799999999,"nbf":0,
        "scope":"read write","roles":["x"]}"#;
    let jwt = Jwt::decode(&token(claims)).unwrap();
    assert_eq!(jwt.header().algorithm(), Some("RS256"));
    assert_eq!(jwt.header().key_id(), Some("k1"));
    assert_eq!(jwt.header().kind(), Some("at+jwt"));
    let claims = jwt.claims();
    assert_eq!((claims.subject(), claims.issuer(), claims.id()), (Some("ada"), Some("https://i"), Some("1")));
    assert_eq!(claims.audience(), ["a", "b"]);
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    assert_eq!(claims.expires_at(), Some(epoch + std::time::Duration::from_millis(1_800_000_000_500)));
    assert_eq!(claims.not_before(), Some(epoch));
    assert_eq!(claims.get("scope").unwrap(), "read write");
    assert_eq!(claims.get("roles").unwrap()[0], "x");
    assert_eq!(claims.get("sub"), None);
    assert_eq!(jwt.signature(), encode("signature"));
}

#[test]
fn a_single_audience_and_an_unsigned_token_are_read() {
    let jwt = Jwt::decode(&format!("{}.{}.", encode("{}"), encode(r#"{"aud":"one"}"#))).unwrap();
    assert_eq!(jwt.claims().audience(), ["one"]);
    assert_eq!(jwt.signature(), "");
}

#[test]
fn the_error_names_the_part_that_is_malformed() {
    let payload = encode("{}");
    for (token, part) in [
        (String::new(), "three parts"),
        ("opaque".into(), "three parts"),
        ("a.b.c.d.e".into(), "three parts"),
        (format!("{payload}=.{payload}."), "header"),
        (format!("{payload}.{}.", encode("[1]")), "payload"),
        (format!("{payload}.{payload}.+/"), "signature"),
        ("A".repeat(MAX_LENGTH + 1), "256 KiB"),
    ] {
        let error = Jwt::decode(&token).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_hostile_claim_is_named_in_the_error() {
    let deep = format!(r#"{{"deep":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let huge = format!(r#"{{"exp":1{}}}"#, "0".repeat(400));
    for (claims, name) in [
        (r#"{"exp":"soon"}"#, "`exp`"),
        (r#"{"exp":-1}"#, "`exp`"),
        (r#"{"exp":1e300}"#, "`exp`"),
        (r#"{"iat":1e400}"#, "`iat`"),
        (r#"{"nbf":[]}"#, "`nbf`"),
        (r#"{"sub":7}"#, "`sub`"),
        (r#"{"aud":[1]}"#, "`aud`"),
        (r#"{"exp":NaN}"#, "payload"),
        (deep.as_str(), "`deep`"),
        (huge.as_str(), "`exp`"),
    ] {
        let error = error(claims);
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn debug_shows_neither_the_signature_nor_the_values_of_private_claims() {
    let jwt = Jwt::decode(&token(r#"{"sub":"ada@example.com","note":"S3cret"}"#)).unwrap();
    let shown = format!("{jwt:?}");
    for hidden in ["S3cret", "ada@", &encode("signature")] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_decoding_panic(text in ".*") {
        let _ = Jwt::decode(&text);
    }

    #[test]
    fn no_payload_makes_decoding_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Jwt::decode(&format!("{}.{}.", encode("{}"), encode(payload)));
    }

    #[test]
    fn any_number_as_exp_is_read_or_the_claim_is_named(number in any::<f64>()) {
        let text = serde_json::to_string(&number).unwrap();
        match Jwt::decode(&token(&format!(r#"{{"exp":{text}}}"#))) {
            Ok(jwt) if number.is_finite() => prop_assert!(jwt.claims().expires_at().is_some() && number >= 0.0),
            Ok(jwt) => prop_assert!(jwt.claims().expires_at().is_none(), "a number that JSON cannot hold is null"),
            Err(error) => prop_assert!(error.to_string().contains("`exp`")),
        }
    }

    #[test]
    fn any_claims_are_decoded_as_they_were_encoded(name in "[a-z]{4,9}", text in ".*", exp in 0_u32..) {
        let claims = serde_json::json!({ name.clone(): text, "exp": exp }).to_string();
        let jwt = Jwt::decode(&token(&claims)).unwrap();
        prop_assert_eq!(jwt.claims().get(&name).unwrap(), &text);
        let exp = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(exp.into());
        prop_assert_eq!(jwt.claims().expires_at(), Some(exp));
    }
}
