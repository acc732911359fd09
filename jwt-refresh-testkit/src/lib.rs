//! A real auth server and API on loopback, to test API wrappers against.
//!
//! [`TestServer::start`] listens on a free port of 127.0.0.1 and serves from a thread of its own, so that synchronous
//! tests, asynchronous tests and plain scripts use it alike. It signs real JWTs, rotates refresh tokens, detects
//! their reuse and revokes the token family as RFC 9700 §4.14.2 asks, counts what it saw, and misbehaves on demand.
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
//! Nobody needs to sleep until a token expires: [`TestServer::advance`] moves the server's clock.
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
//! server.rotate_signing_key(); //              access tokens are rejected before their time
//! server.revoke_refresh_tokens(); //           only a login helps
//! server.ban(server.email()); //               nothing helps
//! ```
//!
//! Accounts can be limited, and what each was seen to do is counted at the server: so one can show that a client holds a limit.
//!
//! ```
//! # use std::time::Duration;
//! # use jwt_refresh_testkit::TestServer;
//! let server = TestServer::builder().account("bob@example.com", "hunter2").rate_limit(10, Duration::from_secs(1)).start();
//! // … call, then:
//! assert_eq!(server.account_stats("bob@example.com").limited, 0);
//! server.use_up_quota("bob@example.com", Duration::from_secs(3600)); // 403 `quota_exceeded` until then
//! ```
//!
//! Who writes a store of their own runs it through [`conformance::check`].
//!
//! # Endpoints
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/auth/login` with `{"email", "password"}` | `{"access_token", "refresh_token", "token_type", "expires_in"}` |
//! | `POST /api/auth/refresh` with `{"refresh_token"}` | the same; [`Rotation`] says which refresh token |
//! | `POST /api/token` with HTTP Basic key and secret | `{"access_token"}`: opaque, lives for an hour, does not say so |
//! | `GET /api/v1/products/{id}` | `{"id", "name", "price_cents"}`; every id is a product |
//! | `PATCH /api/v1/products/{id}` with `"name"` or `{"name"}` | the renamed product |
//! | `DELETE /api/v1/products/{id}` | 403 `insufficient_scope`, whoever asks |
//! | `GET /api/v1/inventory/pricing?page=1` | `{"page", "items": [{"id", "price_cents"}], "next"}`: 5 pages of 10 |
//! | `GET /api/v1/reports/daily` | `{"as_of", "orders", "revenue_cents"}` |
//! | `GET /challenges/api/auth/jwt-with-refresh` | all this as JSON, with the credentials |
//!
//! Everything below `/api/v1` wants `Authorization: Bearer …` and takes any valid access token, however it was got.
//! Two `Authorization` headers in one request are a 400. A call above its account's [rate](Builder::rate_limit) is a 429
//! `rate_limited`, and one without [quota](TestServer::use_up_quota) a 403 `quota_exceeded`; both say in `Retry-After` when the
//! next may go.

#![forbid(unsafe_code)]
// A panic in library code is a defect; tests say `unwrap` as they please.
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
mod faults;
mod gate;
mod issuer;
mod ledger;
mod server;
mod settings;
mod shared;
mod signer;
mod stats;
mod tamper;
mod window;
mod wire;

pub use builder::Builder;
pub use faults::{Endpoint, Fault, Times};
pub use ledger::AccountStats;
pub use server::TestServer;
pub use settings::{Hints, RefreshAnswer, Rotation, TokenFormat};
pub use stats::Stats;
