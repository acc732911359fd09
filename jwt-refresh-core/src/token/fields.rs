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
}

impl Default for TokenFields {
    fn default() -> Self {
        Self {
            access_token: "access_token".into(),
            refresh_token: "refresh_token".into(),
            expires_in: "expires_in".into(),
            unit: LifetimeUnit::Seconds,
            expires_at: None,
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
    /// one; it may be missing or `null`.
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

    /// Reads the tokens in a JSON answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if the answer is not a JSON object, or if a field is missing or
    /// malformed. The message names the field and never repeats its value.
    pub fn read(&self, body: &[u8]) -> Result<Tokens, Error> {
        let answer = Object::parse(body).map_err(|_| bad("the answer is not a JSON object"))?;
        let Some(access) = answer.at(&self.access_token).map_err(bad)? else {
            return Err(bad(format!("field `{}` is missing", self.access_token)));
        };
        let Value::String(access) = access else { return Err(wrong_type(&self.access_token, "a string")) };
        let mut tokens = Tokens::new(access).map_err(|_| {
            bad(format!("field `{}` is empty or has a character that no access token may have", self.access_token))
        })?;

        match answer.at(&self.refresh_token).map_err(bad)? {
            None => {}
            Some(Value::String(empty)) if empty.is_empty() => {}
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                return Err(bad(format!("field `{}` has a control character in it", self.refresh_token)));
            }
            Some(Value::String(text)) => tokens = tokens.refresh_token(text),
            Some(_) => return Err(wrong_type(&self.refresh_token, "a string")),
        }
        if let Some(value) = answer.at(&self.expires_in).map_err(bad)? {
            let scale = match self.unit {
                LifetimeUnit::Seconds => 1.0,
                LifetimeUnit::Milliseconds => 1e-3,
            };
            tokens = tokens.expires_in(seconds(&self.expires_in, &value, scale)?);
        }
        if let Some(path) = &self.expires_at
            && let Some(value) = answer.at(path).map_err(bad)?
        {
            tokens = tokens.expires_at(SystemTime::UNIX_EPOCH + seconds(path, &value, 1.0)?);
        }
        Ok(tokens)
    }
}

impl Tokens {
    /// Reads the tokens in a JSON answer by RFC 6749 §5.1: `access_token`, and if they are present
    /// `refresh_token` and `expires_in`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if the answer is not a JSON object, or if a field is missing
    /// or malformed. The message names the field.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        TokenFields::default().read(body)
    }
}

/// Returns `scale` times `value`, in seconds. The value is a number or a string that contains one:
/// servers send `3600`, `3600.0` and `"3600"`.
fn seconds(field: &str, value: &Value, scale: f64) -> Result<Duration, Error> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(number) = number.filter(|number| number.is_finite()) else { return Err(wrong_type(field, "a number")) };
    if number < 0.0 {
        return Err(bad(format!("field `{field}` is negative")));
    }
    let longest = json::LATEST_SECOND;
    if number * scale > longest {
        return Err(bad(format!("field `{field}` is out of range")));
    }
    Ok(Duration::from_secs_f64(number * scale))
}

fn wrong_type(field: &str, wanted: &str) -> Error {
    bad(format!("field `{field}` is not {wanted}"))
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
        let deep = format!(r#"{{"access_token":"a","expires_in":{}{}}}"#, "[".repeat(99_999), "]".repeat(99_999));
        for (body, field) in [
            (r#"{"refresh_token":"r"}"#, "`access_token`"),
            (r#"{"access_token":"evil\r\nX-Admin: 1"}"#, "`access_token`"),
            (r#"{"access_token":["evil"]}"#, "`access_token`"),
            (r#"{"access_token":""}"#, "`access_token`"),
            (r#"{"access_token":null}"#, "`access_token`"),
            (r#"{"access_token":"a","refresh_token":"evil\n"}"#, "`refresh_token`"),
            (r#"{"access_token":"a","refresh_token":7}"#, "`refresh_token`"),
            (r#"{"access_token":"a","expires_in":-1}"#, "`expires_in`"),
            (r#"{"access_token":"a","expires_in":"NaN"}"#, "`expires_in`"),
            (r#"{"access_token":"a","expires_in":"evil"}"#, "`expires_in`"),
            (r#"{"access_token":"a","expires_in":1e300}"#, "`expires_in`"),
            (r#"{"access_token":"a","expires_in":1e400}"#, "`expires_in`"),
            (r#"{"access_token":"a","expires_in":true}"#, "`expires_in`"),
            (deep.as_str(), "`expires_in`"),
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
        fn no_value_makes_parsing_panic_and_a_bad_one_is_named(
            field in prop::sample::select(vec!["access_token", "refresh_token", "expires_in"]),
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
                prop_assert!(error.to_string().contains(&format!("`{field}`")), "{}", error);
            }
        }
    }
}
