//! The claims of a JWT (RFC 7519 §4): typed if they are registered, by name if not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::json::{self, Object};

/// What the issuer of a JWT states in it. Unverified.
#[derive(Clone)]
pub struct Claims {
    subject: Option<String>,
    issuer: Option<String>,
    id: Option<String>,
    audience: Vec<String>,
    expires_at: Option<Timestamp>,
    issued_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    others: BTreeMap<String, Value>,
}

impl Claims {
    /// Reads the claims. One that is malformed counts as missing where its type is expected, and is
    /// left among the others; one that is not JSON that can be read is left out.
    pub(super) fn read(payload: Object<'_>) -> Self {
        let mut all: BTreeMap<_, _> = payload.into_fields().filter_map(readable).collect();
        Self {
            subject: text(&mut all, "sub"),
            issuer: text(&mut all, "iss"),
            id: text(&mut all, "jti"),
            audience: audience(&mut all),
            expires_at: numeric_date(&mut all, "exp"),
            issued_at: numeric_date(&mut all, "iat"),
            not_before: numeric_date(&mut all, "nbf"),
            others: all,
        }
    }

    /// Returns `sub`: whom the token is about.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns `iss`: who issued the token.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns `jti`: the identifier of the token.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns `aud`: for whom the token is meant. A single string counts as a list of one (RFC
    /// 7519 §4.1.3).
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// Returns `exp`: when the token expires, on the issuer's clock. It may have a fraction of a
    /// second (RFC 7519 §2), and may be a string that contains a number, as some issuers write it.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at.map(Into::into)
    }

    /// Returns `iat`: when the token was issued, on the issuer's clock.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.issued_at.map(Into::into)
    }

    /// Returns `nbf`: the time on the issuer's clock before which the token must not be accepted.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.not_before.map(Into::into)
    }

    /// Returns a claim by its name. A registered claim is here only if it is malformed, such as a
    /// `sub` that is a number: the methods above return those that are as RFC 7519 says.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.others.get(name)
    }

    /// Returns all claims that [`get`](Self::get) finds, by their names.
    pub(super) fn others(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.others.iter()
    }
}

impl fmt::Debug for Claims {
    /// Shows the claims about time, and of the unregistered claims only the names, because their
    /// values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("expires_at", &self.expires_at())
            .field("issued_at", &self.issued_at())
            .field("not_before", &self.not_before())
            .field("others", &self.others.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Returns the name and the value of a claim, unless it is `null` or cannot be read.
fn readable((name, raw): (String, &RawValue)) -> Option<(String, Value)> {
    let value = json::read(&name, raw).ok()??;
    Some((name, value))
}

fn text(all: &mut BTreeMap<String, Value>, name: &str) -> Option<String> {
    match all.remove(name)? {
        Value::String(text) => Some(text),
        other => malformed(all, name, other),
    }
}

fn audience(all: &mut BTreeMap<String, Value>) -> Vec<String> {
    let list = match all.remove("aud") {
        None => return Vec::new(),
        Some(Value::String(one)) => return vec![one],
        Some(other) => other,
    };
    let texts = |items: &Vec<Value>| items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    let texts: Option<Vec<_>> = list.as_array().and_then(texts);
    texts.or_else(|| malformed(all, "aud", list)).unwrap_or_default()
}

fn numeric_date(all: &mut BTreeMap<String, Value>, name: &str) -> Option<Timestamp> {
    let value = all.remove(name)?;
    let date = date(&value);
    if date.is_none() { malformed(all, name, value) } else { date }
}

/// Returns a time in seconds since the epoch (RFC 7519 §2), unless it is malformed or out of range.
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    let seconds = json::number(value)?;
    Some(Timestamp::from(SystemTime::UNIX_EPOCH) + Duration::from_secs_f64(seconds))
}

/// Leaves a malformed claim among the others, for a person who inspects the token.
fn malformed<T>(all: &mut BTreeMap<String, Value>, name: &str, value: Value) -> Option<T> {
    all.insert(name.to_owned(), value);
    None
}
