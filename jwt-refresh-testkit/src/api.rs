//! The endpoints that require an access token, and the middleware that checks it.

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
    shared::Shared,
    usage::Denial,
};

const PAGES: u64 = 5;
const PAGE_SIZE: u64 = 10;

/// Passes requests with a valid access token on, and refuses the others.
pub(crate) async fn require_access_token(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // A client that appends the header for a retry where it should replace it sends two. This finds
    // the mistake.
    if request.headers().get_all(header::AUTHORIZATION).iter().count() > 1 {
        return answer::invalid_request();
    }
    let Some(token) = bearer_token(request.headers()) else {
        // RFC 6750 §3.1: the answer to a request without credentials contains no error code.
        let bearer = r#"Bearer realm="api""#;
        return answer::challenge(StatusCode::UNAUTHORIZED, bearer, "missing_token");
    };
    let caller = match shared.admit(token) {
        Ok(caller) => caller,
        Err(denial) => return denial_answer(&denial),
    };
    let answer = next.run(request).await;
    if let Some(caller) = caller {
        shared.count_answer(&caller, answer.status());
    }
    answer
}

fn denial_answer(denial: &Denial) -> Response {
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

/// Returns the token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

pub(crate) async fn product(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Json<Product> {
    Json(shared.catalog().product(id))
}

/// The request body, `"name"` or `{"name": "name"}`.
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

/// Refuses every request, since it needs a scope that no token has.
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
    // A page that does not exist is answered with an empty list.
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
