//! The products of the API. Every id is a product, whose name can be changed and whose price
//! cannot.

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
    /// The names that were changed, by product id.
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

/// Returns a price from 4.99 to 204.98, always the same for one product.
pub(crate) fn price_cents(id: u64) -> u64 {
    499 + id.wrapping_mul(137) % 20_000
}
