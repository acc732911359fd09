//! A real auth server and API on loopback, to test API wrappers against.
//!
//! [`TestServer::start`] listens on a free port of 127.0.0.1 and serves from a thread of its own,
//! so synchronous tests, asynchronous tests and plain scripts can all use it. The server signs real
//! JWTs, rotates refresh tokens, detects their reuse and then revokes the token family, as
//! RFC 9700 §4.14.2 asks. It counts the requests that it gets, and fails on demand.
//!
//! ```
//! use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), reqwest::Error> {
//! let server = TestServer::start();
//! server.inject(Endpoint::Login, Fault::Status(503), Times::Once);
//!
//! let login = || {
//!     let credentials = [("email", server.email()), ("password", server.password())];
//!     let body: std::collections::HashMap<_, _> = credentials.into();
//!     reqwest::Client::new().post(server.url("/api/auth/login")).json(&body).send()
//! };
//! assert_eq!(login().await?.status(), 503);
//! assert_eq!(login().await?.status(), 200);
//! assert_eq!(server.stats().logins, 1);
//! # Ok(())
//! # }
//! ```
//!
//! A test does not have to sleep until a token expires: [`TestServer::advance`] moves the server's
//! clock.
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
//! The server can limit the calls of each account, and counts the requests of each, so a test can
//! show that a client respects the limit.
//!
//! ```
//! # use std::time::Duration;
//! # use jwt_refresh_testkit::TestServer;
//! let server = TestServer::builder()
//!     .account("bob@example.com", "hunter2")
//!     .rate_limit(10, Duration::from_secs(1))
//!     .start();
//! // … call, then:
//! assert_eq!(server.account_stats("bob@example.com").limited, 0);
//! // Calls are answered 403 `quota_exceeded` for the next hour.
//! server.use_up_quota("bob@example.com", Duration::from_secs(3600));
//! ```
//!
//! [`conformance::check`] tests an implementation of `TokenStore`.
//!
//! # Endpoints
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/auth/login` with `{"email", "password"}` | a token pair |
//! | `POST /api/auth/refresh` with `{"refresh_token"}` | a token pair, as [`Rotation`] describes |
//! | `POST /api/auth/revoke` with the form field `token` | 200, also for an unknown token |
//! | `POST /api/token` with HTTP Basic key and secret | `{"access_token"}` |
//! | `GET /api/v1/products/{id}` | `{"id", "name", "price_cents"}`; every id is a product |
//! | `PATCH /api/v1/products/{id}` with `"name"` or `{"name"}` | the renamed product |
//! | `DELETE /api/v1/products/{id}` | 403 `insufficient_scope`, for every account |
//! | `GET /api/v1/inventory/pricing?page=1` | one of 5 pages of 10 prices |
//! | `GET /api/v1/reports/daily` | `{"as_of", "orders", "revenue_cents"}` |
//! | `GET /challenges/api/auth/jwt-with-refresh` | all this as JSON, with the credentials |
//!
//! A token pair is `{"access_token", "refresh_token", "token_type", "expires_in"}`. The access
//! token of `POST /api/token` is opaque and lives for an hour, which the answer does not say. A
//! page of prices is `{"page", "items": [{"id", "price_cents"}], "next"}`.
//!
//! All requests below `/api/v1` need `Authorization: Bearer …`, with a valid access token of any of
//! the endpoints above. A request with two `Authorization` headers is answered 400. A call above
//! its account's [rate](Builder::rate_limit) is answered 429 `rate_limited`, and a call of an
//! account without [quota](TestServer::use_up_quota) 403 `quota_exceeded`. Both answers say in
//! `Retry-After` when the account may call again.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// A panic in library code is a defect. Tests may call `unwrap`.
#![warn(clippy::unwrap_used)]

mod accounts;
mod answer;
mod api;
mod auth;
mod bucket;
mod builder;
mod catalog;
mod challenge;
mod clock;
pub mod conformance;
mod connection;
mod faults;
mod intercept;
mod issuer;
mod server;
mod settings;
mod shared;
mod signer;
mod stats;
mod tamper;
mod usage;
mod window;

pub use builder::Builder;
pub use faults::{Endpoint, Fault, Times};
pub use server::TestServer;
pub use settings::{Hints, RefreshAnswer, Rotation, TokenFormat};
pub use stats::Stats;
pub use usage::AccountStats;
