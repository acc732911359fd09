//! Where in an answer a value stands: in the body, in a header, or in a cookie.

use std::fmt;

use http::HeaderMap;
use http::header::SET_COOKIE;
use serde_json::Value;

use crate::json::Object;

/// Where in an answer a value stands. It is written as text:
///
/// - `data.token` or `body:data.token`: a path of names in a JSON body; `items.0.token` for the
///   first item of an array,
/// - `body:`: the whole body, which is the value itself; text is a string,
/// - `header:X-Token`,
/// - `cookie:refresh`: a cookie that the answer sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AnswerPlace {
    Body(String),
    WholeBody,
    Header(String),
    Cookie(String),
}

/// An answer to look for values in.
#[derive(Clone, Copy)]
pub(crate) struct AnswerParts<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl AnswerPlace {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.split_once(':') {
            Some(("body", "")) => Self::WholeBody,
            Some(("body", path)) => Self::Body(path.to_owned()),
            Some(("header", name)) => Self::Header(name.trim().to_owned()),
            Some(("cookie", name)) => Self::Cookie(name.trim().to_owned()),
            _ => Self::Body(text.to_owned()),
        }
    }

    /// Returns what is wrong with the place, if it can never be found, and how to write it.
    #[cfg(feature = "reqwest")]
    pub(crate) fn mistake(&self) -> Option<String> {
        match self {
            Self::Body(path) if path.starts_with(['$', '/']) || path.contains('[') => {
                Some(format!("`{path}` is no path: join names and the numbers of items by dots, `data.0.token`"))
            }
            Self::Body(path) if path.split('.').any(|name| name.trim().is_empty()) => {
                Some(format!("the path `{path}` has an empty name in it: join names by single dots, `data.token`"))
            }
            Self::Header(name) if name.parse::<http::HeaderName>().is_err() => {
                Some(format!("`{name}` is not the name of a header: write `header:X-Token`"))
            }
            Self::Cookie(name) if name.is_empty() || name.contains([' ', ';', '=', ',']) => {
                Some(format!("`{name}` is not the name of a cookie: write `cookie:session`"))
            }
            _ => None,
        }
    }

    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self, Self::Body(_) | Self::WholeBody)
    }

    /// Returns the value that stands there, or `None` if it is missing, `null`, or in a cookie that
    /// is being deleted.
    ///
    /// # Errors
    ///
    /// A text that says what is in the way, and repeats no value.
    pub(crate) fn find(&self, answer: AnswerParts<'_>) -> Result<Option<Value>, String> {
        match self {
            Self::Body(path) => {
                let json = Object::parse_any(answer.body).map_err(|_| "the answer is not a JSON object".to_owned())?;
                json.at(path)
            }
            Self::WholeBody => whole(answer.body),
            Self::Header(name) => match answer.headers.get(name) {
                None => Ok(None),
                Some(value) => {
                    let text = value.to_str().map_err(|_| format!("{self} is not ASCII"))?;
                    Ok(Some(text.trim().into()))
                }
            },
            Self::Cookie(name) => Ok(cookie(answer.headers, name).map(Into::into)),
        }
    }
}

impl fmt::Display for AnswerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(path) => write!(f, "field `{path}`"),
            Self::WholeBody => f.write_str("the body"),
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Cookie(name) => write!(f, "cookie `{name}`"),
        }
    }
}

/// Returns the body as a value: a JSON string, object or array, or else its text. A number is text
/// too, because a token may have no other character than digits.
fn whole(body: &[u8]) -> Result<Option<Value>, String> {
    match serde_json::from_slice(body) {
        Ok(Value::Null) => return Ok(None),
        Ok(value @ (Value::String(_) | Value::Array(_) | Value::Object(_))) => return Ok(Some(value)),
        Ok(Value::Bool(_) | Value::Number(_)) | Err(_) => {}
    }
    let text = std::str::from_utf8(body).map_err(|_| "the body is not text".to_owned())?.trim();
    Ok(Some(text).filter(|text| !text.is_empty()).map(Into::into))
}

/// Returns the value of the cookie `name` that the answer sets (RFC 6265 §4.1). The last one of
/// that name counts, and one that is empty or ends at once is deleted.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let (value, attributes) = cookies
        .filter_map(|cookie| {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (found, value) = pair.split_once('=')?;
            (found.trim() == name).then_some((value.trim(), attributes))
        })
        .next_back()?;
    let max_age = attributes.split(';').filter_map(|attribute| attribute.split_once('=')).find_map(|(name, value)| {
        let is_max_age = name.trim().eq_ignore_ascii_case("max-age");
        value.trim().parse::<i64>().ok().filter(|_| is_max_age)
    });
    let is_deleted = value.is_empty() || max_age.is_some_and(|seconds| seconds <= 0);
    Some(value).filter(|_| !is_deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(place: &str, body: &str, headers: &[(&'static str, &str)]) -> Result<Option<Value>, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        AnswerPlace::parse(place).find(AnswerParts { headers: &map, body: body.as_bytes() })
    }

    #[test]
    fn a_value_is_found_in_body_header_and_cookie() {
        let body = r#"{"data":{"token":"t","items":[{"id":7}]},"a.b":"dotted"}"#;
        let headers = [
            ("x-token", " h "),
            ("set-cookie", "refresh=old; Path=/"),
            ("set-cookie", "refresh=new==; HttpOnly; Max-Age=60"),
            ("set-cookie", "gone=x; Max-Age=0"),
            ("set-cookie", "empty=; Path=/"),
        ];
        for (place, expected) in [
            ("data.token", Some("t".into())),
            ("body:data.token", Some("t".into())),
            ("data.items.0.id", Some(7.into())),
            ("data.items.1.id", None),
            ("a.b", Some("dotted".into())),
            ("header:X-Token", Some("h".into())),
            ("header:X-Other", None),
            ("cookie:refresh", Some("new==".into())),
            ("cookie:gone", None),
            ("cookie:empty", None),
        ] {
            assert_eq!(found(place, body, &headers), Ok(expected), "{place}");
        }
        assert_eq!(found("body:", "raw-token\n", &[]), Ok(Some("raw-token".into())));
        assert_eq!(found("body:", r#""quoted""#, &[]), Ok(Some("quoted".into())));
        assert_eq!(found("body:", "0123", &[]), Ok(Some("0123".into())));
        assert_eq!(found("body:", "null", &[]), Ok(None));
        assert_eq!(found("body:", r#"{"a":1}"#, &[]), Ok(Some(serde_json::json!({"a": 1}))));
        assert_eq!(found("0.token", r#"[{"token":"t"}]"#, &[]), Ok(Some("t".into())));
        assert!(found("data.token.x", body, &[]).unwrap_err().contains("`token` is not an object"));
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn a_place_that_can_never_be_found_is_a_mistake() {
        for text in ["", "a..b", ".a", "a.", "$.a", "/a/b", "a[0]", "header:", "header:a b", "cookie:", "cookie:a=b"] {
            assert!(AnswerPlace::parse(text).mistake().is_some(), "{text}");
        }
        for text in ["a", "a.0.b", "body:", "header:X-A", "cookie:__Host-a", "access_token"] {
            assert_eq!(AnswerPlace::parse(text).mistake(), None, "{text}");
        }
    }
}
