//! The values that the placeholders of a description stand for in one exchange.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::secret::Secret;

/// Values by name: secrets, and what was captured in answers.
#[derive(Default)]
pub(super) struct Values(BTreeMap<String, Filling>);

enum Filling {
    Text(Secret),
    /// A number, a bool, or a whole object.
    Other(Value),
}

impl Values {
    pub(super) fn set(&mut self, name: &str, value: Value) {
        let filling = match value {
            Value::String(text) => Filling::Text(text.into()),
            other => Filling::Other(other),
        };
        self.0.insert(name.to_owned(), filling);
    }

    pub(super) fn set_text(&mut self, name: &str, text: impl Into<Secret>) {
        self.0.insert(name.to_owned(), Filling::Text(text.into()));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a value as text.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).map(|filling| match filling {
            Filling::Text(text) => text.expose().into(),
            Filling::Other(value) => value.to_string().into(),
        })
    }

    /// Returns a value as it was in the answer: a number stays a number.
    pub(super) fn json(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(|filling| match filling {
            Filling::Text(text) => text.expose().into(),
            Filling::Other(value) => value.clone(),
        })
    }

    #[cfg(test)]
    pub(super) fn with_text(mut self, name: &str, text: &str) -> Self {
        self.set_text(name, text);
        self
    }
}
