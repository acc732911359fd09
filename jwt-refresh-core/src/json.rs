//! Reads JSON from untrusted servers, one field at a time. A field that is not needed may be nested
//! too deep, huge or out of range. An error about a field that is needed names it.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The last second of the year 9999, in Unix time. A later time is out of range.
pub(crate) const LATEST_SECOND: f64 = 253_402_300_799.0;

/// A JSON object whose values have not been parsed yet.
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self)
    }

    /// Parses an object, or an array, whose items are named by their number: `0`, `1`.
    pub(crate) fn parse_any(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::parse(json).or_else(|error| {
            let items: Vec<&RawValue> = serde_json::from_slice(json).map_err(|_| error)?;
            Ok(Self(items.into_iter().enumerate().map(|(number, item)| (number.to_string(), item)).collect()))
        })
    }

    /// Returns the value at a path of field names joined by dots, or `None` if it is missing or
    /// `null`. An item of an array is named by its number, from 0 on.
    ///
    /// A name that contains dots is found too, as the whole path or as its end.
    pub(crate) fn at(&self, path: &str) -> Result<Option<Value>, String> {
        if let Some(raw) = self.0.get(path) {
            return read(path, raw);
        }
        let Some((first, rest)) = path.split_once('.') else { return Ok(None) };
        let Some(raw) = self.0.get(first) else { return Ok(None) };
        if raw.get() == "null" {
            return Ok(None);
        }
        let inner = Object::parse_any(raw.get().as_bytes()).map_err(|_| format!("field `{first}` is not an object"))?;
        inner.at(rest)
    }

    /// Returns whether there is a field of this name.
    #[cfg(feature = "oauth")]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the text of a value as it came.
    #[cfg(feature = "oauth")]
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    pub(crate) fn into_fields(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        self.0.into_iter()
    }
}

/// Returns a hint of a server as a number from 0 to [`LATEST_SECOND`]. Servers send `3600`,
/// `3600.0` and `"3600"`. Returns `None` if the value is anything else.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| (0.0..=LATEST_SECOND).contains(number))
}

/// Notes that a hint is malformed and does not count: a hint never costs a token. The event names
/// the field, and never its value.
pub(crate) fn ignored(field: &str) {
    tracing::debug!(target: "jwt_refresh", field, "ignored a malformed hint");
}

/// Parses one value, `null` as `None`. The error names the field and never repeats its content.
pub(crate) fn read(field: &str, raw: &RawValue) -> Result<Option<Value>, String> {
    match serde_json::from_str(raw.get()) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(format!("field `{field}` is nested too deep or out of range")),
    }
}
