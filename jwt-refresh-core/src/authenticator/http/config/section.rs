//! A table of a description, from which values are taken by key.

use serde_json::{Map, Value};

use crate::authenticator::http::mistake::mistake;
use crate::error::Error;

/// A table, and the key by which errors name it.
#[derive(Clone)]
pub(super) struct Section<'a> {
    key: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    pub(super) fn root(value: &'a Value) -> Result<Self, Error> {
        Self::of(String::new(), value)
    }

    pub(super) fn of(key: String, value: &'a Value) -> Result<Self, Error> {
        match value {
            Value::Object(fields) => Ok(Self { key, fields }),
            other => Err(unlike(if key.is_empty() { "the description" } else { &key }, "a table", other)),
        }
    }

    /// Returns the key of a field of this table.
    pub(super) fn key(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    /// Checks that the table has no other keys than these.
    pub(super) fn expect_keys(&self, known: &[&str]) -> Result<(), Error> {
        let Some(unknown) = self.fields.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
        let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
        Err(mistake(&self.key(unknown), format!("this key is unknown; there are {}", known.join(", "))))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.fields.iter()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        self.read(name, "a string", Value::as_str)
    }

    pub(super) fn required_text(&self, name: &str, fix: &str) -> Result<&'a str, Error> {
        self.text(name)?.ok_or_else(|| mistake(&self.key(name), format!("this is missing; {fix}")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.read(name, "`true` or `false`", Value::as_bool)
    }

    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| unlike(&self.key(name), expected, value))
    }

    pub(super) fn table(&self, name: &str) -> Result<Option<Self>, Error> {
        self.get(name).map(|value| Self::of(self.key(name), value)).transpose()
    }

    /// Returns the names and values of a table in which numbers and bools count as text.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<(&'a str, String)>, Error> {
        let Some(table) = self.table(name)? else { return Ok(Vec::new()) };
        let text = |(name, value): (&'a String, &'a Value)| match value {
            Value::String(text) => Ok((name.as_str(), text.clone())),
            Value::Number(_) | Value::Bool(_) => Ok((name.as_str(), value.to_string())),
            other => Err(unlike(&table.key(name), "text", other)),
        };
        table.entries().map(text).collect()
    }
}

/// Returns the error for a value of another type than expected. It does not repeat the value.
pub(super) fn unlike(key: &str, expected: &str, value: &Value) -> Error {
    mistake(key, format!("this is {}, and not {expected}; write {expected}", type_of(value)))
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "no value",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
