//! What the API is about: products. Every id is a product, with a name that can be changed and a price that cannot.

use std::collections::HashMap;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Product {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) price_cents: u64,
}

#[derive(Default)]
pub(crate) struct Catalog {
    /// Only the names that were changed.
    names: HashMap<u64, String>,
}

impl Catalog {
    pub(crate) fn product(&self, id: u64) -> Product {
        let name = self.names.get(&id).cloned();
        Product { id, name: name.unwrap_or_else(|| format!("Product {id}")), price_cents: price_cents(id) }
    }

    pub(crate) fn rename(&mut self, id: u64, name: String) -> Product {
        self.names.insert(id, name);
        self.product(id)
    }
}

/// Between 4.99 and 204.98, and always the same.
pub(crate) fn price_cents(id: u64) -> u64 {
    499 + id.wrapping_mul(137) % 20_000
}
