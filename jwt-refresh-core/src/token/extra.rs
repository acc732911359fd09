//! The fields of an answer that this crate does not read.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::json::Object;

/// The JSON answer that tokens came from, or none. It contains secrets: `Debug` shows nothing of
/// it, and it is wiped when the last copy is dropped.
#[derive(Clone, Default)]
pub(crate) struct ExtraFields(Option<Arc<Zeroizing<Vec<u8>>>>);

impl ExtraFields {
    pub(crate) fn of(answer: &[u8]) -> Self {
        Self(Some(Arc::new(Zeroizing::new(answer.to_vec()))))
    }

    /// Returns the value at a path of field names joined by dots, unless it is missing or `null`,
    /// or cannot be read.
    pub(crate) fn at(&self, path: &str) -> Option<Value> {
        Object::parse(self.0.as_ref()?).ok()?.at(path).ok()?
    }
}

impl fmt::Debug for ExtraFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "…" } else { "none" })
    }
}
