//! Where an answer contains the tokens. Servers rename and nest the fields, put tokens into headers
//! and cookies, and give lifetimes in seconds, in milliseconds or as a date.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

use super::place::{AnswerParts, AnswerPlace};
use super::tokens::Tokens;
use crate::clock::parse_date;
use crate::error::Error;
use crate::json::{self, Object};
use crate::shape::{Shape, token_like_paths};

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

/// Where an answer contains the tokens. The default is that of RFC 6749 §5.1. Other places are
/// given as text:
///
/// | place | is |
/// |---|---|
/// | `data.token` | a field of a JSON body: names joined by dots, `items.0.token` in an array |
/// | `header:X-Token` | a header of the answer |
/// | `cookie:session` | a cookie that the answer sets |
/// | `body:` | the whole body, which is the token itself |
/// | `body:header:x` | a field of a JSON body whose name looks like one of the above |
///
/// A token may stand behind the word `Bearer`, as it does in some headers.
///
/// ```
/// # fn main() -> Result<(), jwt_refresh::Error> {
/// use jwt_refresh::{LifetimeUnit, TokenFields};
///
/// let fields = TokenFields::default()
///     .access_token("data.accessToken")
///     .refresh_token("data.refreshToken")
///     .expires_in("data.ttl", LifetimeUnit::Milliseconds);
/// let answer = br#"{"data": {"accessToken": "a", "refreshToken": "r", "ttl": 60000}}"#;
/// let tokens = fields.read(answer)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFields {
    access_token: AnswerPlace,
    refresh_token: AnswerPlace,
    expires_in: Option<(AnswerPlace, LifetimeUnit)>,
    expires_at: Option<AnswerPlace>,
    lives_for: Option<Duration>,
    refresh_expires_in: Option<(AnswerPlace, LifetimeUnit)>,
}

impl Default for TokenFields {
    fn default() -> Self {
        Self {
            access_token: AnswerPlace::parse("access_token"),
            refresh_token: AnswerPlace::parse("refresh_token"),
            expires_in: Some((AnswerPlace::parse("expires_in"), LifetimeUnit::Seconds)),
            expires_at: None,
            lives_for: None,
            refresh_expires_in: None,
        }
    }
}

impl TokenFields {
    /// Sets the place of the access token, which must be present.
    pub fn access_token(mut self, place: impl AsRef<str>) -> Self {
        self.access_token = AnswerPlace::parse(place.as_ref());
        self
    }

    /// Sets the place of the refresh token, which may be missing, `null` or empty.
    pub fn refresh_token(mut self, place: impl AsRef<str>) -> Self {
        self.refresh_token = AnswerPlace::parse(place.as_ref());
        self
    }

    /// Sets the place and the unit of the lifetime. Its value is a number, or a string that
    /// contains one. It may be missing, and a malformed one does not count.
    pub fn expires_in(mut self, place: impl AsRef<str>, unit: LifetimeUnit) -> Self {
        self.expires_in = Some((AnswerPlace::parse(place.as_ref()), unit));
        self
    }

    /// Reads no lifetime, because what stands in `expires_in` is something else. The `exp` of a JWT
    /// is read all the same.
    pub fn without_expires_in(mut self) -> Self {
        self.expires_in = None;
        self
    }

    /// Sets the place of the time of expiry, on the server's clock. Its value is a date of RFC 3339
    /// or of HTTP, or a number of seconds or milliseconds since the Unix epoch: a number is in
    /// milliseconds if it would be after the year 9999 in seconds. It may be missing, and a
    /// malformed one does not count. By default no such field is read.
    pub fn expires_at(mut self, place: impl AsRef<str>) -> Self {
        self.expires_at = Some(AnswerPlace::parse(place.as_ref()));
        self
    }

    /// Sets how long an access token lives of which nothing says so: neither the answer nor the
    /// `exp` of a JWT.
    pub fn lives_for(mut self, lifetime: Duration) -> Self {
        self.lives_for = Some(lifetime);
        self
    }

    /// Sets the place and the unit of the refresh token's lifetime. Its value is like that of the
    /// access token's. By default it is `refresh_expires_in` or `refresh_token_expires_in`, in
    /// seconds.
    pub fn refresh_expires_in(mut self, place: impl AsRef<str>, unit: LifetimeUnit) -> Self {
        self.refresh_expires_in = Some((AnswerPlace::parse(place.as_ref()), unit));
        self
    }

    /// Reads the tokens in the body of an answer.
    ///
    /// Only the access token decides whether the answer is one. A hint at a lifetime that is
    /// malformed counts as missing. A refresh token that is malformed cannot be used, but it says
    /// that the one that was sent may be replaced: that one is then in doubt.
    ///
    /// # Errors
    ///
    /// [`BadAnswer`](crate::ErrorKind::BadAnswer) if the access token is missing or malformed. The
    /// message names the field, and says which fields of which types there are. It never repeats a
    /// value.
    pub fn read(&self, body: &[u8]) -> Result<Tokens, Error> {
        self.find(AnswerParts { headers: &HeaderMap::new(), body })
    }

    /// Reads the tokens in an answer.
    pub(crate) fn find(&self, answer: AnswerParts<'_>) -> Result<Tokens, Error> {
        let place = &self.access_token;
        let bad = |wrong: String| unlike(&wrong, place, answer);
        let Some(access) = place.find(answer).map_err(bad)? else {
            return Err(bad(format!("{place} is missing")));
        };
        let Value::String(access) = access else {
            return Err(bad(format!("{place} is not a string")));
        };
        let mut tokens = Tokens::new(without_scheme(&access))
            .map_err(|_| bad(format!("{place} is empty or has a character that no access token may have")))?;
        self.read_refresh_token(answer, &mut tokens);
        self.read_hints(answer, &mut tokens);
        Ok(tokens.with_extra(answer.body))
    }

    fn read_refresh_token(&self, answer: AnswerParts<'_>, tokens: &mut Tokens) {
        // Beside an access token in a header, the body may be anything.
        let is_elsewhere = self.refresh_token.is_in_body() && !self.access_token.is_in_body();
        match self.refresh_token.find(answer) {
            Ok(None) => {}
            Ok(Some(Value::String(text))) if text.is_empty() => {}
            Ok(Some(Value::String(text))) if !text.chars().any(char::is_control) => {
                tokens.refresh = Some(without_scheme(&text).into());
            }
            Err(_) if is_elsewhere => {}
            Ok(Some(_)) | Err(_) => {
                tokens.refresh_is_unreadable = true;
                json::ignored(&self.refresh_token.to_string());
            }
        }
    }

    fn read_hints(&self, answer: AnswerParts<'_>, tokens: &mut Tokens) {
        let lifetime = |(place, unit): &(AnswerPlace, LifetimeUnit)| {
            hint(answer, place, json::number).map(|number| unit.times(number))
        };
        tokens.expires_in = self.expires_in.as_ref().and_then(lifetime);
        tokens.expires_at = self.expires_at.as_ref().and_then(|place| hint(answer, place, time));
        if tokens.expires_in.is_none() && tokens.expires_at.is_none() && tokens.access.dates().expires_at.is_none() {
            tokens.expires_in = self.lives_for;
        }
        let refresh_lifetime = match &self.refresh_expires_in {
            Some(stated) => lifetime(stated),
            None => ["refresh_expires_in", "refresh_token_expires_in"]
                .into_iter()
                .find_map(|path| lifetime(&(AnswerPlace::Body(path.to_owned()), LifetimeUnit::Seconds))),
        };
        // Servers send 0 for a refresh token that does not expire.
        tokens.refresh_expires_in = refresh_lifetime.filter(|lifetime| !lifetime.is_zero());
    }

    #[cfg(feature = "reqwest")]
    pub(crate) fn refresh_token_place(&self) -> &AnswerPlace {
        &self.refresh_token
    }

    /// Returns the first place that can never be found: the name of its setting, and what is wrong.
    #[cfg(feature = "reqwest")]
    pub(crate) fn mistake(&self) -> Option<(&'static str, String)> {
        let places = [
            ("access_token", Some(&self.access_token)),
            ("refresh_token", Some(&self.refresh_token)),
            ("expires_in", self.expires_in.as_ref().map(|(place, _)| place)),
            ("expires_at", self.expires_at.as_ref()),
            ("refresh_expires_in", self.refresh_expires_in.as_ref().map(|(place, _)| place)),
        ];
        places.into_iter().find_map(|(name, place)| Some((name, place?.mistake()?)))
    }
}

/// Returns the error for an answer whose access token is not at `expected`, with the shape of the
/// answer, so that a person sees where it is instead.
fn unlike(wrong: &str, expected: &AnswerPlace, answer: AnswerParts<'_>) -> Error {
    let mut detail =
        format!("{wrong}: the access token was expected in {expected}, and the answer is {}", Shape(answer.body));
    let likely = token_like_paths(answer.body).into_iter().find(|path| *expected != AnswerPlace::Body(path.clone()));
    if let Some(path) = likely {
        detail = format!("{detail}; it may be in `{path}`");
    }
    Error::unlike_expected("the answer has no usable access token", detail)
}

/// Returns a token without the word `Bearer` before it.
fn without_scheme(token: &str) -> &str {
    match token.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        _ => token,
    }
}

/// Returns the hint at `place`. A malformed one is noted, and counts as missing.
fn hint<T>(answer: AnswerParts<'_>, place: &AnswerPlace, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let value = match place.find(answer) {
        Ok(value) => read(&value?),
        // Beside a token in a header, the body may be anything.
        Err(_) if place.is_in_body() && Object::parse_any(answer.body).is_err() => return None,
        Err(_) => None,
    };
    if value.is_none() {
        json::ignored(&place.to_string());
    }
    value
}

/// The earliest number that is read as a time, in seconds: the year 2001. A smaller one is a
/// lifetime, or a 0 for a token that does not expire.
const EARLIEST_SECOND: f64 = 1e9;

/// Returns a time that is written as a number or as a date.
fn time(value: &Value) -> Option<SystemTime> {
    let seconds = |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
    if let Some(number) = json::number(value) {
        return Some(number).filter(|number| *number >= EARLIEST_SECOND).map(seconds);
    }
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return parse_date(text),
        },
        _ => None,
    };
    // Beyond the year 9999 in seconds, so it is in milliseconds.
    let millis = number.filter(|number| (json::LATEST_SECOND..=json::LATEST_SECOND * 1e3).contains(number))?;
    Some(seconds(millis / 1e3))
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
            ("[]", "`access_token`"),
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
