//! The shape of an answer: its keys and the types of its values, for a person who has to find out
//! what a server sends. No value is shown.

use std::fmt;

use serde_json::value::RawValue;

use crate::json::Object;

/// How deep and how wide a shape is shown.
const DEEPEST: usize = 4;
const MOST_KEYS: usize = 20;
/// A longer key, or one with more digits, may be an identifier or a token.
const LONGEST_KEY: usize = 40;
const MOST_DIGITS: usize = 4;

/// The shape of a body: `{data: {token: string, ttl: number}}`.
pub(crate) struct Shape<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::from_slice::<&RawValue>(self.0) {
            Ok(value) => write_value(f, value, 0),
            Err(_) if self.0.trim_ascii().is_empty() => f.write_str("an empty body"),
            Err(_) if std::str::from_utf8(self.0).is_ok() => write!(f, "{} bytes of text", self.0.len()),
            Err(_) => write!(f, "{} bytes that are no text", self.0.len()),
        }
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &RawValue, depth: usize) -> fmt::Result {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => write_object(f, text, depth),
        Some(b'[') => write_array(f, text, depth),
        Some(b'"') => f.write_str("string"),
        Some(b't' | b'f') => f.write_str("bool"),
        Some(b'n') => f.write_str("null"),
        _ => f.write_str("number"),
    }
}

fn write_object(f: &mut fmt::Formatter<'_>, text: &str, depth: usize) -> fmt::Result {
    let Ok(object) = Object::parse(text.as_bytes()) else { return f.write_str("{…}") };
    if depth == DEEPEST {
        return f.write_str("{…}");
    }
    f.write_str("{")?;
    for (number, (key, value)) in object.into_fields().enumerate() {
        f.write_str(if number == 0 { "" } else { ", " })?;
        if number == MOST_KEYS {
            f.write_str("…")?;
            break;
        }
        f.write_str(if is_showable(&key) { &key } else { "…" })?;
        f.write_str(": ")?;
        write_value(f, value, depth + 1)?;
    }
    f.write_str("}")
}

/// Shows the first item, because the others are usually alike.
fn write_array(f: &mut fmt::Formatter<'_>, text: &str, depth: usize) -> fmt::Result {
    let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    match items.first() {
        None => f.write_str("[]"),
        Some(_) if depth == DEEPEST => f.write_str("[…]"),
        Some(first) => {
            f.write_str("[")?;
            write_value(f, first, depth + 1)?;
            f.write_str(if items.len() > 1 { ", …]" } else { "]" })
        }
    }
}

fn is_showable(key: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'@' | b'$');
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(is_name) && digits <= MOST_DIGITS
}

/// Returns the paths of the strings in a JSON body that are called as tokens are.
pub(crate) fn token_like_paths(body: &[u8]) -> Vec<String> {
    let mut paths = Vec::new();
    collect(body, "", &mut paths, 0);
    paths.truncate(3);
    paths
}

fn collect(json: &[u8], before: &str, paths: &mut Vec<String>, depth: usize) {
    let Ok(object) = Object::parse_any(json) else { return };
    for (key, value) in object.into_fields().take(MOST_KEYS).filter(|(key, _)| is_showable(key)) {
        let text = value.get();
        let name = key.to_ascii_lowercase();
        let is_token = (name.contains("token") || name.contains("jwt") || name.contains("access"))
            && !["refresh", "type", "csrf", "xsrf", "id_token", "idtoken"].iter().any(|other| name.contains(other));
        if text.starts_with('"') && text.len() > 2 && is_token {
            paths.push(format!("{before}{key}"));
        } else if text.starts_with(['{', '[']) && depth < DEEPEST {
            collect(text.as_bytes(), &format!("{before}{key}."), paths, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_keys_and_types_and_no_values() {
        for (body, shape) in [
            (
                r#"{"data":{"token":"S3cret","ttl":3600,"ok":true,"x":null}}"#,
                "{data: {ok: bool, token: string, ttl: number, x: null}}",
            ),
            (r#"[{"token":"S3cret"},{"a":1}]"#, "[{token: string}, …]"),
            (r#"{"list":[],"deep":{"a":{"b":{"c":{"S3cret":1}}}}}"#, "{deep: {a: {b: {c: {…}}}}, list: []}"),
            (r#"{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln":1,"550e8400-e29b":2}"#, "{…: number, …: number}"),
            (r#""S3cret""#, "string"),
            ("S3cret", "6 bytes of text"),
            (" ", "an empty body"),
        ] {
            assert_eq!(Shape(body.as_bytes()).to_string(), shape);
        }
        let wide: serde_json::Map<_, _> = (0..100).map(|number| (format!("k{number}"), 1.into())).collect();
        let wide = serde_json::Value::from(wide).to_string();
        assert!(Shape(wide.as_bytes()).to_string().ends_with(", …}"));
    }

    #[test]
    fn strings_that_are_called_as_tokens_are_found_wherever_they_stand() {
        let body = br#"{"data":{"accessToken":"a","refreshToken":"r","tokenType":"b"},"list":[{"jwt":"j"}],"token":7}"#;
        assert_eq!(token_like_paths(body), ["data.accessToken", "list.0.jwt"]);
    }
}
