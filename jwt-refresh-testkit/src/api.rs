//! The endpoints that want an access token, and the guard that asks for it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    answer,
    catalog::{Product, price_cents},
    ledger::Denial,
    shared::Shared,
};

const PAGES: u64 = 5;
const PAGE_SIZE: u64 = 10;

/// Lets requests with a valid access token through.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // A wrapper that sets the header anew for a retry, and appends where it means to replace, sends two.
    if request.headers().get_all(header::AUTHORIZATION).iter().count() > 1 {
        return answer::invalid_request();
    }
    let Some(token) = bearer_token(request.headers()) else {
        // RFC 6750 §3.1: a request without credentials is told how to authenticate, not what was wrong.
        let bearer = r#"Bearer realm="api""#;
        return answer::challenge(StatusCode::UNAUTHORIZED, bearer, "missing_token");
    };
    let caller = match shared.admit(token) {
        Ok(caller) => caller,
        Err(denial) => return denied(&denial),
    };
    let answer = next.run(request).await;
    if let Some(caller) = caller {
        shared.answered(&caller, answer.status());
    }
    answer
}

fn denied(denial: &Denial) -> Response {
    match denial {
        Denial::InvalidToken => {
            let bearer = r#"Bearer error="invalid_token""#;
            answer::challenge(StatusCode::UNAUTHORIZED, bearer, "invalid_token")
        }
        Denial::RateLimited { retry_after } => {
            answer::retry_later(StatusCode::TOO_MANY_REQUESTS, "rate_limited", *retry_after)
        }
        Denial::QuotaUsedUp { resets_in } => answer::retry_later(StatusCode::FORBIDDEN, "quota_exceeded", *resets_in),
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(crate) async fn product(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Json<Product> {
    Json(shared.catalog().product(id))
}

/// `"name"` or `{"name": "name"}`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Rename {
    Bare(String),
    Field { name: String },
}

pub(crate) async fn rename_product(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
    body: Result<Json<Rename>, JsonRejection>,
) -> Response {
    let Ok(Json(Rename::Bare(name) | Rename::Field { name })) = body else {
        return answer::invalid_request();
    };
    Json(shared.catalog().rename(id, name)).into_response()
}

/// Needs a scope that nobody has.
pub(crate) async fn delete_product() -> Response {
    let bearer = r#"Bearer error="insufficient_scope", scope="products:delete""#;
    answer::challenge(StatusCode::FORBIDDEN, bearer, "insufficient_scope")
}

#[derive(Deserialize)]
pub(crate) struct Page {
    #[serde(default = "first_page")]
    page: u64,
}

fn first_page() -> u64 {
    1
}

#[derive(Serialize)]
pub(crate) struct PriceList {
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

pub(crate) async fn pricing(Query(Page { page }): Query<Page>) -> Json<PriceList> {
    // Beyond the last page there is nothing.
    let ids = match page {
        1..=PAGES => (page - 1) * PAGE_SIZE + 1..page * PAGE_SIZE + 1,
        _ => 0..0,
    };
    let items = ids.map(|id| Price { id, price_cents: price_cents(id) });
    Json(PriceList { page, items: items.collect(), next: (1..PAGES).contains(&page).then(|| page + 1) })
}

pub(crate) async fn daily_report(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({
        "as_of": shared.clock.now().http_date(),
        "orders": 42,
        "revenue_cents": 1_234_500,
    }))
}
