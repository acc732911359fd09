//! The grants of OAuth 2.0 against a real HTTP server.

mod answers;
mod audiences;
mod browser;
mod cancelled;
mod certificate;
mod child_step_up;
mod clock;
mod device;
mod discovery;
mod dpop;
mod dpop_by_hand;
mod dpop_pool;
mod dpop_server;
mod endless;
#[path = "../persistence/faulty.rs"]
#[allow(dead_code, reason = "the tests of stores use the rest of it")]
mod faulty;
mod grants;
mod hints;
mod key;
mod mcp;
mod mutual_tls;
mod presets;
mod private_key;
mod provider;
#[path = "../login/server.rs"]
#[allow(dead_code, reason = "the tests of descriptions use the rest of it")]
mod server;
mod step_up;
#[path = "../support/mod.rs"]
mod support;
mod tls_server;
