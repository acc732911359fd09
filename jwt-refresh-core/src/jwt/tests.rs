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
        (format!("{payload}.{}.", encode(r#"{"exp":NaN}"#)), "payload"),
        (format!("{payload}.{payload}.+/"), "signature"),
        ("A".repeat(MAX_LENGTH + 1), "256 KiB"),
    ] {
        let error = Jwt::decode(&token).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_malformed_claim_is_left_to_get_and_the_others_are_read() {
    let deep = format!(r#"{{"deep":{}{},"exp":7}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for claims in [
        r#"{"sub":7,"exp":7}"#,
        r#"{"aud":{"a":1},"exp":7}"#,
        r#"{"aud":["a",1],"exp":"7"}"#,
        r#"{"iat":"soon","nbf":[],"exp":7}"#,
        r#"{"iat":-1,"nbf":1e300,"exp":7.0}"#,
        r#"{"iat":1e400,"exp":7}"#,
        deep.as_str(),
    ] {
        let jwt = Jwt::decode(&token(claims)).unwrap();
        let claims = jwt.claims();
        assert_eq!((claims.subject(), claims.issued_at(), claims.not_before()), (None, None, None));
        assert!(claims.audience().is_empty());
        assert_eq!(claims.expires_at(), Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7)));
    }
    let jwt = Jwt::decode(&token(r#"{"sub":7,"aud":["a",1]}"#)).unwrap();
    assert_eq!(jwt.claims().get("sub").unwrap(), 7);
    assert_eq!(jwt.claims().get("aud").unwrap()[1], 1);
}

#[test]
fn a_malformed_header_field_counts_as_missing() {
    let jwt = Jwt::decode(&format!("{}.{}.", encode(r#"{"alg":7,"kid":"k"}"#), encode("{}"))).unwrap();
    assert_eq!((jwt.header().algorithm(), jwt.header().key_id()), (None, Some("k")));
}

#[test]
fn exp_and_iat_are_read_whatever_else_is_wrong_with_a_token() {
    let payload = encode(r#"{"sub":7,"aud":{},"exp":"7","iat":3.5}"#);
    let date = |millis: i64| Some(Timestamp::from_nanos(millis * 1_000_000));
    for token in [
        format!("{}.{payload}.c2ln", encode("{}")),
        format!("{}.{payload}.", encode("not an object")),
        format!("?.{payload}.+/="),
    ] {
        let dates = TokenDates::of(&token);
        assert_eq!((dates.expires_at, dates.issued_at), (date(7_000), date(3_500)), "{token}");
    }
    for token in ["opaque".to_owned(), format!("a.{payload}.c.d.e"), format!("a.{}.", encode(r#"{"exp":-1,"iat":[]}"#))]
    {
        let dates = TokenDates::of(&token);
        assert_eq!((dates.expires_at, dates.issued_at), (None, None), "{token}");
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
    fn any_number_as_exp_is_read_if_it_is_a_date(number in any::<f64>()) {
        let text = serde_json::to_string(&number).unwrap();
        let jwt = Jwt::decode(&token(&format!(r#"{{"exp":{text}}}"#))).unwrap();
        prop_assert_eq!(jwt.claims().expires_at().is_some(), (0.0..=json::LATEST_SECOND).contains(&number));
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
