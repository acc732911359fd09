//! A real auth server and API on loopback, to test API wrappers against.
//!
//! ```toml
//! [dependencies]
//! jwt-refresh = "0.1"
//! # What the wrapper below is written with; add "query" for `.query()`.
//! reqwest = { version = "0.13", features = ["json"] }
//!
//! [dev-dependencies]
//! jwt-refresh-testkit = "0.1"
//! serde_json = "1"
//! tokio = { version = "1", features = ["macros", "rt"] }
//! ```
//!
//! [`TestServer::start`] listens on a free port of 127.0.0.1 and serves from a thread of its own,
//! so synchronous tests, asynchronous tests and plain scripts can all use it. The server signs real
//! JWTs, rotates refresh tokens, detects their reuse and then revokes the token family, as
//! RFC 9700 §4.14.2 asks. It serves [routes](Route) of your own behind its check of access tokens,
//! counts the requests that it gets, and fails on demand.
//!
//! # From a wrapper to its test
//!
//! The wrapper takes the URL of its API, so that a test can give it the server's:
//!
//! ```
//! use jwt_refresh::prelude::*;
//!
//! pub struct Shop { http: reqwest::Client, base: String, session: Session }
//!
//! impl Shop {
//!     pub fn new(base: &str, email: &str, password: &str) -> Result<Self, jwt_refresh::Error> {
//!         let login = HttpAuthenticator::builder(format!("{base}/api/auth/login"))
//!             .refresh_url(format!("{base}/api/auth/refresh"))
//!             .field("email", email)
//!             .secret_field("password", password)
//!             .build()?;
//!         let (http, session) = (reqwest::Client::new(), Session::new(login));
//!         Ok(Self { http, base: base.to_owned(), session })
//!     }
//!
//!     #[refresh_token(token, retry)]
//!     pub async fn order(&self, name: &str) -> Result<u64, Box<dyn std::error::Error>> {
//!         let request = self.http.post(format!("{}/orders", self.base)).bearer(&token).json(name);
//!         Ok(request.send().await?.error_for_status()?.json().await?)
//!     }
//! }
//!
//! // Its test, under `#[tokio::test]`:
//! use jwt_refresh_testkit::{Answer, Route, TestServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! async fn an_order_survives_the_end_of_its_token() {
//!     let server = TestServer::builder()
//!         .route(Route::post("/orders", |_| Answer::new(201).json(&7)))
//!         .start();
//!     let shop = Shop::new(server.base_url(), server.email(), server.password()).unwrap();
//!     assert_eq!(shop.order("lamp").await.unwrap(), 7);
//!
//!     server.rotate_signing_key(); // the token is rejected; `retry` renews it and asks again
//!     assert_eq!(shop.order("chair").await.unwrap(), 7);
//!     let stats = server.stats();
//!     assert_eq!((stats.logins, stats.refreshes, stats.rejected), (1, 1, 1));
//!     assert_eq!(server.requests().last().unwrap().json::<String>().unwrap(), "chair");
//! }
//! # fn main() { an_order_survives_the_end_of_its_token() }
//! ```
//!
//! [`Route`] shows paths with parts that vary, uploads, scopes, and routes without a token. The
//! repository has two wrappers with their tests: `examples/typed_api`, and `tests/wrapper` with one
//! method for each kind of request.
//!
//! # What a test can do
//!
//! | to see what the wrapper does when | call |
//! |---|---|
//! | it logs in to another URL, with other names | [`Builder::login`], [`Builder::refresh`] |
//! | the answer to that has another shape | [`Builder::token_answer`] |
//! | the access token expires | [`TestServer::advance`], see [below](#expiry-without-waiting) |
//! | it is rejected before that | [`TestServer::rotate_signing_key`] |
//! | a pause after a failure ends | `ManualClock::advance`, see [below](#expiry-without-waiting) |
//! | the refresh token is refused | [`TestServer::revoke_refresh_tokens`] |
//! | it is sent twice | [`Rotation`], and [`Stats::reuses`] afterwards |
//! | the account may not log in | [`TestServer::ban`], [`TestServer::set_password`] |
//! | a token lacks a scope | [`Route::scope`], [`TestServer::set_scope`] |
//! | a request fails, or its answer is lost | [`TestServer::inject`] with a [`Fault`] |
//! | the account calls too often | [`Builder::rate_limit`], [`TestServer::use_up_rate`] |
//! | tokens are bound to a header, a cookie or an address | [`Builder::bind_tokens`] |
//! | its quota is used up | [`TestServer::use_up_quota`] |
//! | claims are odd | [`TestServer::set_claim`] |
//! | lifetimes or dates are odd | [`Builder::lifetime_hints`], [`Builder::date_shift`] |
//! | the server was restarted | [`Builder::port`] |
//!
//! What the wrapper did is in [`TestServer::requests`], [`TestServer::stats`] and
//! [`TestServer::account_stats`].
//!
//! ```
//! # use std::time::Duration;
//! use jwt_refresh_testkit::{Endpoint, Fault, Route, TestServer, Times};
//! # use serde_json::json;
//!
//! let server = TestServer::builder()
//!     .route(Route::get("/orders/{id}", |request| json!({ "id": request.param("id") })))
//!     .account("bob@example.com", "hunter2") // beside the default one
//!     .rate_limit(10, Duration::from_secs(1))
//!     .start();
//! // The next login fails, and the answer to the next order is lost:
//! server.inject(Endpoint::Login, Fault::Status(503), Times::Once);
//! server.inject(Endpoint::Route("GET", "/orders/{id}"), Fault::DropAfterProcessing, Times::Once);
//! // Calls are answered 403 `quota_exceeded` for the next hour:
//! server.use_up_quota("bob@example.com", Duration::from_secs(3600));
//! // … call the wrapper, then:
//! assert_eq!(server.account_stats("bob@example.com").limited, 0);
//! ```
//!
//! [`conformance::check`] tests an implementation of `TokenStore`.
//!
//! # Tokens that are bound to a client
//!
//! Some servers bind tokens to the address, the `User-Agent` or a cookie of the login, and refuse a
//! refresh or a call that comes otherwise. So does this one with [`Builder::bind_tokens`]. A
//! wrapper passes if it has one setting for all its requests, `jwt_refresh::HttpClient`:
//!
//! ```
//! use jwt_refresh::{HttpAuthenticator, HttpClient, Session};
//! use jwt_refresh::prelude::*;
//! use jwt_refresh_testkit::{TestServer, TokenBinding};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bound_to = TokenBinding::Header("user-agent".into());
//! let server = TestServer::builder().bind_tokens(bound_to).start();
//! let client = HttpClient::new(|| reqwest::Client::builder().user_agent("catalog/1.0"));
//! let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
//!     .field("email", server.email())
//!     .secret_field("password", server.password())
//!     .client(client.clone())
//!     .build()?;
//! let (http, session) = (client.calls()?, Session::new(login));
//! let call = http.get(server.url("/api/v1/products/1")).bearer(&session.token().await?);
//! assert_eq!(call.send().await?.status(), 200);
//!
//! let elsewhere = reqwest::Client::new(); // sends another `User-Agent`
//! let call = elsewhere.get(server.url("/api/v1/products/1")).bearer(&session.token().await?);
//! assert_eq!(call.send().await?.status(), 401);
//! # Ok(()) }
//! ```
//!
//! # Expiry without waiting
//!
//! [`TestServer::advance`] moves the server's clock, so that a test does not sleep until a token
//! expires. The wrapper's clock does not move with it: the wrapper takes its token to be alive,
//! sends it, is answered 401, and renews it if its methods have `retry`. To see a wrapper renew a
//! token before that, give its session a `ManualClock` (`SessionBuilder::clock`), and move both.
//! By that clock a session also waits after a failure: its pauses, which grow, and a `Retry-After`
//! last until the test has moved the clock past them, and until then calls get the same error at
//! once. Time-outs of requests (`Policy::login_timeout`, `Policy::refresh_timeout`) pass in real
//! time.
//!
//! Refresh tokens expire by the server's clock, after an hour unless [`Builder::refresh_lifetime`]
//! says otherwise; the wrapper logs in again then.
//!
//! ```
//! # use std::time::Duration;
//! # use jwt_refresh_testkit::{Hints, Rotation, TestServer, TokenFormat};
//! let server = TestServer::builder()
//!     .access_lifetime(Duration::from_secs(300))
//!     .rotation(Rotation::OnWithGrace(Duration::from_secs(10)))
//!     .token_format(TokenFormat::Opaque)
//!     .lifetime_hints(Hints::ExpiresIn)
//!     .start();
//! // … log in, then:
//! server.advance(Duration::from_secs(300)); // access tokens expire
//! server.rotate_signing_key(); //              access tokens are rejected before they expire
//! server.revoke_refresh_tokens(); //           refreshes fail, a login succeeds
//! server.ban(server.email()); //               refreshes and logins fail
//! ```
//!
//! # Endpoints
//!
//! A [login](Builder::login) and a [refresh](Builder::refresh) of another shape, and
//! [their answers](Builder::token_answer), take the place of the first two.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/auth/login` with `{"email", "password"}` | a token pair |
//! | `POST /api/auth/refresh` with `{"refresh_token"}` | a token pair, as [`Rotation`] describes |
//! | `POST /api/auth/revoke` with the form field `token` | 200, also for an unknown token |
//! | `POST /api/token` with HTTP Basic key and secret | `{"access_token"}` |
//! | `GET /challenges/api/auth/jwt-with-refresh` | credentials and endpoints as JSON |
//!
//! A token pair is `{"access_token", "refresh_token", "token_type", "expires_in"}`. The access
//! token of `POST /api/token` is opaque and lives for an hour, which the answer does not say.
//!
//! All other requests are for the API. Those for a route need `Authorization: Bearer …`, with a
//! valid access token of any of the endpoints above, unless the route is [public](Route::public):
//!
//! | a request | is answered |
//! |---|---|
//! | with two `Authorization` headers | 400 `invalid_request` |
//! | without a token, or with one that is not valid | 401 with `WWW-Authenticate` |
//! | above its account's [rate](Builder::rate_limit) | 429 `rate_limited`, and `Retry-After` |
//! | without [quota](TestServer::use_up_quota) | 403 `quota_exceeded`, and `Retry-After` |
//! | whose token lacks a [scope](Route::scope) | 403 `insufficient_scope` with `WWW-Authenticate` |
//!
//! A request that no route is for is answered 404 `not_found`, or 405 `method_not_allowed` if its
//! path has routes for other methods, whatever its token.
//!
//! # The kit's own API
//!
//! A server without routes of yours serves these:
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/products/{id}` | `{"id", "name", "price_cents"}`; every id is a product |
//! | `PATCH /api/v1/products/{id}` with `"name"` or `{"name"}` | the renamed product |
//! | `DELETE /api/v1/products/{id}` | 204, with a scope that no token has by default |
//! | `GET /api/v1/inventory/pricing?page=1` | one of 5 pages of 10 prices |
//! | `GET /api/v1/reports/daily` | `{"as_of", "orders", "revenue_cents"}` |
//!
//! A page of prices is `{"page", "items": [{"id", "price_cents"}], "next"}`.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// A panic in library code is a defect. Tests may call `unwrap`.
#![warn(clippy::unwrap_used)]

mod accounts;
mod answer;
mod api;
mod auth;
mod binding;
mod bucket;
mod builder;
mod catalog;
mod challenge;
mod clock;
pub mod conformance;
mod connection;
mod demo;
mod dispatch;
mod error;
mod faults;
mod intercept;
mod issuer;
mod refusal;
mod request;
mod request_log;
mod route;
mod routes;
mod server;
mod settings;
mod shared;
mod signer;
mod stats;
mod sync;
mod tamper;
mod token_endpoints;
mod token_pair;
mod usage;
mod window;

pub use answer::Answer;
pub use binding::TokenBinding;
pub use builder::Builder;
pub use error::StartError;
pub use faults::{Endpoint, Fault, Times};
pub use request::ReceivedRequest;
pub use route::Route;
pub use server::TestServer;
pub use settings::{Hints, RefreshAnswer, Rotation, TokenFormat};
pub use stats::Stats;
pub use token_pair::TokenPair;
pub use usage::AccountStats;
