//! JSON from strangers, read a field at a time: a field that nobody asked for can be as deep, huge or out of range as it
//! likes, and one that was asked for is named in the error.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The last second of the year 9999, which is as late as anybody means. Unix time.
pub(crate) const LATEST_SECOND: f64 = 253_402_300_799.0;

/// An object whose values have not been read yet.
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self)
    }

    /// The value at a path of names joined by dots; `None` if it is missing or `null`.
    ///
    /// A name that contains dots itself is found too, if it stands at the top.
    pub(crate) fn at(&self, path: &str) -> Result<Option<Value>, String> {
        if let Some(raw) = self.0.get(path) {
            return read(path, raw);
        }
        let Some((first, rest)) = path.split_once('.') else { return Ok(None) };
        let Some(raw) = self.0.get(first) else { return Ok(None) };
        if raw.get() == "null" {
            return Ok(None);
        }
        let inner = Object::parse(raw.get().as_bytes()).map_err(|_| format!("field `{first}` is not an object"))?;
        inner.at(rest)
    }

    pub(crate) fn into_fields(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        self.0.into_iter()
    }
}

/// Reads one value. The error names the field and never repeats its content.
pub(crate) fn read(field: &str, raw: &RawValue) -> Result<Option<Value>, String> {
    match serde_json::from_str(raw.get()) {
        Ok(Value::Null) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(format!("field `{field}` is nested too deep or out of range")),
    }
}
