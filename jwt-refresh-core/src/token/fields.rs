//! Where a JSON answer contains the tokens. Servers rename and nest the fields, and give lifetimes
//! in seconds or milliseconds.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::tokens::Tokens;
use crate::error::{Error, ErrorKind};
use crate::json::{self, Object};

/// The unit of a lifetime in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifetimeUnit {
    /// Seconds, as in RFC 6749 §5.1.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl LifetimeUnit {
    fn times(self, number: f64) -> Duration {
        let scale = match self {
            Self::Seconds => 1.0,
            Self::Milliseconds => 1e-3,
        };
        Duration::from_secs_f64(number * scale)
    }
}

/// Where a JSON answer contains the tokens. The default is that of RFC 6749 §5.1. Other places are
/// given as paths: field names joined by dots.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh_core::Error> {
/// use jwt_refresh_core::{LifetimeUnit, TokenFields};
///
/// let fields = TokenFields::default()
///     .access_token("data.accessToken")
///     .refresh_token("data.refreshToken")
///     .expires_in("data.ttl", LifetimeUnit::Milliseconds);
/// let answer = br#"{"data": {"accessToken": "a", "refreshToken": "r", "ttl": 60000}}"#;
/// let tokens = fields.read(answer)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TokenFields {
    access_token: String,
    refresh_token: String,
    expires_in: String,
    unit: LifetimeUnit,
    expires_at: Option<String>,
    refresh_expires_in: Option<(String, LifetimeUnit)>,
}

impl Default for TokenFields {
    fn default() -> Self {
        Self {
            access_token: "access_token".into(),
            refresh_token: "refresh_token".into(),
            expires_in: "expires_in".into(),
            unit: LifetimeUnit::Seconds,
            expires_at: None,
            refresh_expires_in: None,
        }
    }
}

impl TokenFields {
    /// Sets the path of the access token, which must be present.
    pub fn access_token(mut self, path: impl Into<String>) -> Self {
        self.access_token = path.into();
        self
    }

    /// Sets the path of the refresh token, which may be missing, `null` or empty.
    pub fn refresh_token(mut self, path: impl Into<String>) -> Self {
        self.refresh_token = path.into();
        self
    }

    /// Sets the path and the unit of the lifetime. Its value is a number, or a string that contains
    /// one. It may be missing, and a malformed one does not count.
    pub fn expires_in(mut self, path: impl Into<String>, unit: LifetimeUnit) -> Self {
        self.expires_in = path.into();
        self.unit = unit;
        self
    }

    /// Sets the path of the time of expiry, in seconds since the Unix epoch on the server's clock.
    /// Its value is like that of the lifetime. By default no such field is read.
    pub fn expires_at(mut self, path: impl Into<String>) -> Self {
        self.expires_at = Some(path.into());
        self
    }

    /// Sets the path and the unit of the refresh token's lifetime. Its value is like that of the
    /// access token's. By default it is `refresh_expires_in` or `refresh_token_expires_in`, in
    /// seconds.
    pub fn refresh_expires_in(mut self, path: impl Into<String>, unit: LifetimeUnit) -> Self {
        self.refresh_expires_in = Some((path.into(), unit));
        self
    }

    /// Reads the tokens in a JSON answer.
    ///
    /// Only the access token decides whether the answer is one. A hint at a lifetime that is
    /// malformed counts as missing. A refresh token that is malformed cannot be used, but it says
    /// that the one that was sent may be replaced: that one is then in doubt.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if the answer is not a JSON object, or if the access token is
    /// missing or malformed. The message names the field and never repeats its value.
    pub fn read(&self, body: &[u8]) -> Result<Tokens, Error> {
        let answer = Object::parse(body).map_err(|_| bad("the answer is not a JSON object"))?;
        let Some(access) = answer.at(&self.access_token).map_err(bad)? else {
            return Err(bad(format!("field `{}` is missing", self.access_token)));
        };
        let Value::String(access) = access else {
            return Err(bad(format!("field `{}` is not a string", self.access_token)));
        };
        let mut tokens = Tokens::new(access).map_err(|_| {
            bad(format!("field `{}` is empty or has a character that no access token may have", self.access_token))
        })?;
        self.read_refresh_token(&answer, &mut tokens);
        self.read_hints(&answer, &mut tokens);
        Ok(tokens.with_extra(body))
    }

    fn read_refresh_token(&self, answer: &Object<'_>, tokens: &mut Tokens) {
        match answer.at(&self.refresh_token) {
            Ok(None) => {}
            Ok(Some(Value::String(text))) if text.is_empty() => {}
            Ok(Some(Value::String(text))) if !text.chars().any(char::is_control) => tokens.refresh = Some(text.into()),
            Ok(Some(_)) | Err(_) => {
                tokens.refresh_is_unreadable = true;
                json::ignored(&self.refresh_token);
            }
        }
    }

    fn read_hints(&self, answer: &Object<'_>, tokens: &mut Tokens) {
        tokens.expires_in = number(answer, &self.expires_in).map(|number| self.unit.times(number));
        let expires_at = self.expires_at.as_ref().and_then(|path| number(answer, path));
        tokens.expires_at = expires_at.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
        let refresh_lifetime = match &self.refresh_expires_in {
            Some((path, unit)) => number(answer, path).map(|number| unit.times(number)),
            None => ["refresh_expires_in", "refresh_token_expires_in"]
                .into_iter()
                .find_map(|path| number(answer, path))
                .map(Duration::from_secs_f64),
        };
        // Servers send 0 for a refresh token that does not expire.
        tokens.refresh_expires_in = refresh_lifetime.filter(|lifetime| !lifetime.is_zero());
    }
}

/// Returns the hint at `path`. A malformed one is noted, and counts as missing.
fn number(answer: &Object<'_>, path: &str) -> Option<f64> {
    let number = match answer.at(path) {
        Ok(value) => json::number(&value?),
        Err(_) => None,
    };
    if number.is_none() {
        json::ignored(path);
    }
    number
}

impl Tokens {
    /// Reads the tokens in a JSON answer by RFC 6749 §5.1: `access_token`, and if they are present
    /// `refresh_token` and `expires_in`.
    ///
    /// # Errors
    ///
    /// Those of [`TokenFields::read`].
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        TokenFields::default().read(body)
    }
}

fn bad(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadAnswer, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(body: &str) -> String {
        Tokens::from_json(body.as_bytes()).expect_err(body).to_string()
    }

    fn lifetime(value: &str) -> Option<Duration> {
        let body = format!(r#"{{"access_token":"a","expires_in":{value}}}"#);
        Tokens::from_json(body.as_bytes()).unwrap().expires_in
    }

    #[test]
    fn a_lifetime_is_read_however_servers_write_it() {
        for (value, seconds) in
            [("3600", 3600.0), ("3600.5", 3600.5), (r#""3600""#, 3600.0), (r#"" 60 ""#, 60.0), ("0", 0.0)]
        {
            assert_eq!(lifetime(value), Some(Duration::from_secs_f64(seconds)), "{value}");
        }
        assert_eq!(lifetime("null"), None);
    }

    #[test]
    fn a_malformed_hint_counts_as_missing_and_costs_no_token() {
        let deep = "[".repeat(99_999) + &"]".repeat(99_999);
        let fields = TokenFields::default().expires_at("expires_at");
        for name in ["expires_in", "expires_at", "refresh_expires_in", "refresh_token_expires_in"] {
            for value in
                ["-1", r#""""#, r#""3600s""#, "true", "1e300", "1e400", r#""inf""#, r#""NaN""#, "{}", deep.as_str()]
            {
                let body = format!(r#"{{"access_token":"a","refresh_token":"r","{name}":{value}}}"#);
                let tokens = fields.read(body.as_bytes()).unwrap();
                assert_eq!(tokens.refresh().unwrap().expose(), "r", "{name}");
                assert_eq!(
                    (tokens.lifetime(), tokens.expiry(), tokens.refresh_lifetime()),
                    (None, None, None),
                    "{name}"
                );
            }
        }
        let nested = TokenFields::default().expires_in("life.seconds", LifetimeUnit::Seconds);
        assert_eq!(nested.read(br#"{"access_token":"a","life":7}"#).unwrap().lifetime(), None);
    }

    #[test]
    fn a_refresh_token_that_cannot_be_read_costs_no_access_token_and_is_noted() {
        for (value, is_unreadable) in
            [(r#""evil\n""#, true), ("7", true), ("true", true), ("[]", true), ("null", false), (r#""""#, false)]
        {
            let body = format!(r#"{{"access_token":"a","refresh_token":{value}}}"#);
            let tokens = Tokens::from_json(body.as_bytes()).unwrap();
            assert_eq!((tokens.access().expose(), tokens.refresh()), ("a", None), "{value}");
            assert_eq!(tokens.refresh_is_unreadable, is_unreadable, "{value}");
        }
    }

    #[test]
    fn the_lifetime_of_the_refresh_token_is_read_by_either_of_its_names_or_by_another() {
        let lifetime = |fields: TokenFields, body: &str| fields.read(body.as_bytes()).unwrap().refresh_lifetime();
        for (body, seconds) in [
            (r#"{"access_token":"a","refresh_expires_in":1800}"#, Some(1800)),
            (r#"{"access_token":"a","refresh_token_expires_in":"1800"}"#, Some(1800)),
            (r#"{"access_token":"a","refresh_expires_in":true,"refresh_token_expires_in":7}"#, Some(7)),
            (r#"{"access_token":"a","refresh_expires_in":0}"#, None),
            (r#"{"access_token":"a"}"#, None),
        ] {
            assert_eq!(lifetime(TokenFields::default(), body), seconds.map(Duration::from_secs), "{body}");
        }
        let fields = TokenFields::default().refresh_expires_in("r.ttl", LifetimeUnit::Milliseconds);
        assert_eq!(lifetime(fields, r#"{"access_token":"a","r":{"ttl":500}}"#), Some(Duration::from_millis(500)));
    }

    #[test]
    fn the_other_fields_of_an_answer_are_kept_and_shown_to_nobody_who_does_not_ask() {
        let body = br#"{"access_token":"a","id_token":"IdS3cret","x":{"y":[1]},"z":null}"#;
        let tokens = Tokens::from_json(body).unwrap();
        assert_eq!(tokens.extra("id_token").unwrap(), "IdS3cret");
        assert_eq!(tokens.extra("x.y").unwrap()[0], 1);
        assert_eq!((tokens.extra("z"), tokens.extra("x.y.z"), tokens.extra("w")), (None, None, None));
        assert_eq!(Tokens::new("a").unwrap().extra("id_token"), None);
        assert!(!format!("{tokens:?} {tokens:#?}").contains("S3cret"));
    }

    #[test]
    fn a_refresh_token_may_be_missing_null_or_empty() {
        for body in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","refresh_token":null}"#,
            r#"{"access_token":"a","refresh_token":""}"#,
        ] {
            assert!(Tokens::from_json(body.as_bytes()).unwrap().refresh.is_none(), "{body}");
        }
    }

    #[test]
    fn hostile_fields_are_named_and_not_repeated() {
        for (body, field) in [
            (r#"{"refresh_token":"r"}"#, "`access_token`"),
            (r#"{"access_token":"evil\r\nX-Admin: 1"}"#, "`access_token`"),
            (r#"{"access_token":["evil"]}"#, "`access_token`"),
            (r#"{"access_token":""}"#, "`access_token`"),
            (r#"{"access_token":null}"#, "`access_token`"),
            ("evil", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("", "not a JSON object"),
        ] {
            let error = error(body);
            assert!(error.contains(field) && !error.contains("evil"), "{error}");
        }
    }

    #[test]
    fn fields_that_are_not_read_may_contain_anything() {
        let deep = "[".repeat(99_999) + &"]".repeat(99_999);
        let body = format!(r#"{{"x":{deep},"y":1e400,"access_token":"a"}}"#);
        assert!(Tokens::from_json(body.as_bytes()).is_ok());
    }

    #[test]
    fn paths_reach_into_nested_objects_and_units_are_applied() {
        let fields = TokenFields::default()
            .access_token("data.token")
            .refresh_token("data.more.refresh")
            .expires_in("ttl", LifetimeUnit::Milliseconds)
            .expires_at("data.until");
        let body = br#"{"data":{"token":"a","more":{"refresh":"r"},"until":1800000000},"ttl":1500}"#;
        let tokens = fields.read(body).unwrap();
        assert_eq!(tokens.access.expose(), "a");
        assert_eq!(tokens.refresh.unwrap().expose(), "r");
        assert_eq!(tokens.expires_in, Some(Duration::from_millis(1500)));
        assert_eq!(tokens.expires_at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
        assert!(fields.read(br#"{"data":7}"#).unwrap_err().to_string().contains("`data`"));
    }

    proptest! {
        #[test]
        fn no_body_makes_parsing_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Tokens::from_json(&body);
        }

        #[test]
        fn no_value_makes_parsing_panic_and_only_a_bad_access_token_is_an_error(
            field in prop::sample::select(vec!["access_token", "refresh_token", "expires_in", "refresh_expires_in"]),
            value in prop_oneof![
                any::<f64>().prop_map(|number| serde_json::json!(number)),
                any::<i64>().prop_map(|number| serde_json::json!(number)),
                ".*".prop_map(|text: String| serde_json::json!(text)),
                Just(serde_json::json!([[]])),
                Just(serde_json::json!({"a": null})),
                Just(serde_json::json!(true)),
            ],
        ) {
            let mut body = serde_json::json!({ "access_token": "a" });
            body[field] = value;
            if let Err(error) = Tokens::from_json(body.to_string().as_bytes()) {
                prop_assert!(field == "access_token" && error.to_string().contains("`access_token`"), "{}", error);
            }
        }
    }
}
