//! The claims of a JWT (RFC 7519 §4): typed if they are registered, by name if not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::error::DecodeError;
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
    pub(super) fn read(payload: Object<'_>) -> Result<Self, DecodeError> {
        let mut all = BTreeMap::new();
        for (name, raw) in payload.into_fields() {
            let value =
                json::read(&name, raw).map_err(|_| DecodeError::claim(&name, "is nested too deep or out of range"))?;
            if let Some(value) = value {
                all.insert(name, value);
            }
        }
        Ok(Self {
            subject: text(&mut all, "sub")?,
            issuer: text(&mut all, "iss")?,
            id: text(&mut all, "jti")?,
            audience: audience(&mut all)?,
            expires_at: numeric_date(&mut all, "exp")?,
            issued_at: numeric_date(&mut all, "iat")?,
            not_before: numeric_date(&mut all, "nbf")?,
            others: all,
        })
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
    /// second (RFC 7519 §2).
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

    /// Returns a claim by its name, unless it is one of the registered claims above.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.others.get(name)
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

fn text(all: &mut BTreeMap<String, Value>, name: &str) -> Result<Option<String>, DecodeError> {
    match all.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(DecodeError::claim(name, "is not a string")),
    }
}

fn audience(all: &mut BTreeMap<String, Value>) -> Result<Vec<String>, DecodeError> {
    let wrong = || DecodeError::claim("aud", "is neither a string nor a list of strings");
    match all.remove("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(list)) => {
            let texts = list.into_iter().map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            });
            texts.collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn numeric_date(all: &mut BTreeMap<String, Value>, name: &str) -> Result<Option<Timestamp>, DecodeError> {
    let Some(value) = all.remove(name) else { return Ok(None) };
    let Some(seconds) = value.as_f64() else { return Err(DecodeError::claim(name, "is not a number")) };
    if seconds < 0.0 {
        return Err(DecodeError::claim(name, "is negative"));
    }
    if seconds > json::LATEST_SECOND {
        return Err(DecodeError::claim(name, "is out of range"));
    }
    Ok(Some(Timestamp::from(SystemTime::UNIX_EPOCH) + Duration::from_secs_f64(seconds)))
}
