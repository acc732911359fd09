//! The fields of an answer that this crate does not read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::json::Object;
use crate::shape::Shape;

/// The JSON answer that tokens came from, or none, and the values that were captured in it. It
/// contains secrets: `Debug` shows nothing of it, and the answer is wiped when the last copy is
/// dropped.
#[derive(Clone, Default)]
pub(crate) struct ExtraFields {
    answer: Option<Arc<Zeroizing<Vec<u8>>>>,
    captured: BTreeMap<String, Value>,
}

impl ExtraFields {
    pub(crate) fn of(answer: &[u8]) -> Self {
        Self { answer: Some(Arc::new(Zeroizing::new(answer.to_vec()))), captured: BTreeMap::new() }
    }

    /// Adds a value that was captured.
    #[cfg(feature = "reqwest")]
    pub(crate) fn capture(&mut self, name: &str, value: Value) {
        self.captured.insert(name.to_owned(), value);
    }

    /// Returns the shape of the answer: keys and types.
    pub(crate) fn shape(&self) -> Option<String> {
        self.answer.as_ref().map(|answer| Shape(answer).to_string())
    }

    /// Returns a captured value by its name, or the value at a path of field names joined by dots,
    /// unless it is missing or `null`, or cannot be read.
    pub(crate) fn at(&self, path: &str) -> Option<Value> {
        if let Some(value) = self.captured.get(path) {
            return Some(value.clone());
        }
        Object::parse_any(self.answer.as_ref()?).ok()?.at(path).ok()?
    }
}

impl fmt::Debug for ExtraFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.answer.is_some() || !self.captured.is_empty() { "…" } else { "none" })
    }
}
