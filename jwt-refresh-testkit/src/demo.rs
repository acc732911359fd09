//! The kit's own API, of a server that has no other routes.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Answer, ReceivedRequest, Route,
    catalog::{Catalog, price_cents},
    clock::Clock,
    sync::lock,
};

/// What its tokens may do, so nobody may delete.
pub(crate) const SCOPE: &str = "products:read products:write inventory:read reports:read";

const PRODUCT: &str = "/api/v1/products/{id}";
const PAGES: u64 = 5;
const PAGE_SIZE: u64 = 10;

pub(crate) fn routes(clock: Arc<Clock>) -> Vec<Route> {
    let catalog = Arc::new(Mutex::new(Catalog::default()));
    let renamed = Arc::clone(&catalog);
    let product = move |request: &ReceivedRequest| match id(request) {
        Some(id) => Answer::new(200).json(&lock(&catalog).product(id)),
        None => invalid_request(),
    };
    let rename = move |request: &ReceivedRequest| match (id(request), request.json()) {
        (Some(id), Ok(Rename::Bare(name) | Rename::Field { name })) => {
            Answer::new(200).json(&lock(&renamed).rename(id, name))
        }
        _ => invalid_request(),
    };
    vec![
        Route::get(PRODUCT, product).scope("products:read"),
        Route::patch(PRODUCT, rename).scope("products:write"),
        Route::delete(PRODUCT, |_| Answer::new(204)).scope("products:delete"),
        Route::get("/api/v1/inventory/pricing", pricing).scope("inventory:read"),
        Route::get("/api/v1/reports/daily", move |_| daily_report(&clock)).scope("reports:read"),
    ]
}

fn id(request: &ReceivedRequest) -> Option<u64> {
    request.param("id").parse().ok()
}

fn invalid_request() -> Answer {
    Answer::new(400).json(&json!({ "error": "invalid_request" }))
}

/// The request body, `"name"` or `{"name": "name"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rename {
    Bare(String),
    Field { name: String },
}

#[derive(Serialize)]
struct PriceList {
    page: u64,
    items: Vec<Price>,
    /// The number of the next page, if there is one.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Price {
    id: u64,
    price_cents: u64,
}

fn pricing(request: &ReceivedRequest) -> Answer {
    let Ok(page) = request.query("page").unwrap_or("1").parse() else { return invalid_request() };
    // A page that does not exist is answered with an empty list.
    let ids = match page {
        1..=PAGES => (page - 1) * PAGE_SIZE + 1..page * PAGE_SIZE + 1,
        _ => 0..0,
    };
    let items = ids.map(|id| Price { id, price_cents: price_cents(id) });
    let next = (1..PAGES).contains(&page).then(|| page + 1);
    Answer::new(200).json(&PriceList { page, items: items.collect(), next })
}

fn daily_report(clock: &Clock) -> Value {
    json!({ "as_of": clock.now().http_date(), "orders": 42, "revenue_cents": 1_234_500 })
}
