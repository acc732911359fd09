//! What sessions promise, checked on random walks. A model server answers anything, holds requests
//! back, rotates refresh tokens or not, and has a clock of its own. Processes are killed and
//! started again, callers give up, and the store fails. Everything that a session does is checked
//! as it does it. In the end all is well, and each session must serve a token that the API takes.
//!
//! A walk is drawn from its seed. A failure shows the seed, and `JWT_REFRESH_SEED=7` begins with
//! that walk. Threads and sockets are not drawn, so it may take a few runs to fail again.
//!
//! `scripts/torture promises` takes more and longer walks.

mod answer;
mod authenticator;
mod checks;
mod exchange;
mod hints;
mod history;
mod issuer;
mod life;
mod plan;
mod process;
#[path = "../torture/random.rs"]
mod random;
mod recovery;
mod refusals;
mod runs;
#[path = "../torture/scale.rs"]
mod scale;
mod server;
mod state;
mod store;
mod walk;
mod world;

use plan::Kind;
use runs::run;

#[test]
fn a_session_alone_keeps_its_promises() {
    run(Kind::Alone);
}

#[test]
fn a_session_that_cannot_log_in_keeps_its_promises() {
    run(Kind::Captured);
}

#[test]
fn sessions_that_share_a_store_keep_their_promises() {
    run(Kind::Shared);
}

#[test]
fn sessions_whose_store_fails_keep_their_promises() {
    run(Kind::Faults);
}
