//! A copy of rows in Redis that have versions: only what has changed is read again.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;
use serde::de::DeserializeOwned;

use super::scripts::CHANGES;
use crate::redis::Connection;
use crate::store::{StoreError, StoreErrorKind};

/// How many rows are read at once.
const PAGE: usize = 1000;

/// Rows by their names, as far as they were read.
pub(super) struct Mirror<T> {
    /// The key of the rows, and the key of their versions.
    keys: (String, String),
    /// A key that this process may write, by which a cluster knows where the others are.
    slot: String,
    version: u64,
    pub(super) rows: BTreeMap<String, T>,
    /// The names of rows that were read and are not taken yet.
    changed: BTreeSet<String>,
}

impl<T: DeserializeOwned> Mirror<T> {
    pub(super) fn new(keys: (String, String), slot: &str) -> Self {
        Self { keys, slot: slot.to_owned(), version: 0, rows: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// Reads all rows again with the next [`sync`](Self::sync), after Redis has lost some.
    pub(super) fn reset(&mut self) {
        self.version = 0;
    }

    /// Returns whether newer rows were read than `version`, the last in Redis: that was put back to
    /// an earlier state, or has lost the versions.
    pub(super) fn is_ahead_of(&self, version: u64) -> bool {
        version < self.version
    }

    /// Returns whether rows were changed up to `version`. If that is lower than before, Redis has
    /// lost the versions, and all rows count as changed.
    pub(super) fn is_behind(&mut self, version: u64) -> bool {
        if self.is_ahead_of(version) {
            self.reset();
        }
        version > self.version
    }

    pub(super) fn has_changed(&self, name: &str) -> bool {
        self.changed.contains(name)
    }

    /// Notes that rows are to be taken again.
    pub(super) fn set_changed<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        self.changed.extend(names.into_iter().cloned());
    }

    /// Takes the names of rows that have changed. After a failure, what was read before is kept.
    pub(super) fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed)
    }

    /// Reads what has changed. A row that cannot be read, since a later version has written it, is
    /// left as it was.
    pub(super) async fn sync(&mut self, link: &Connection) -> Result<(), StoreError> {
        loop {
            let (since, page) = (self.version.to_string(), PAGE.to_string());
            let arguments = [&since, &page, &self.keys.0, &self.keys.1];
            let answer: Vec<Value> = link.run(&CHANGES, &[&self.slot], &arguments).await?;
            let rows = answer.chunks_exact(3);
            let is_last = rows.len() < PAGE;
            for row in rows {
                let (name, version) = self.take(row).ok_or_else(unexpected)?;
                self.version = version;
                self.changed.insert(name);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn take(&mut self, row: &[Value]) -> Option<(String, u64)> {
        let [Value::BulkString(name), Value::BulkString(version), row] = row else { return None };
        let name = String::from_utf8(name.clone()).ok()?;
        let version = str::from_utf8(version).ok()?.parse().ok()?;
        match row {
            Value::BulkString(row) => match serde_json::from_slice(row) {
                Ok(row) => drop(self.rows.insert(name.clone(), row)),
                Err(error) => {
                    tracing::warn!(
                        target: "jwt_refresh",
                        name,
                        %error,
                        "what the fleet's Redis holds of it cannot be read (a later version may have written it, or a feature is \
                         missing here)"
                    );
                }
            },
            _ => drop(self.rows.remove(&name)),
        }
        Some((name, version))
    }
}

pub(super) fn unexpected() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the fleet's Redis answered something else than was asked")
}
