//! What the compiler says to a user of `#[refresh_token]`: nothing to any shape of method in `pass`, though all lints are
//! on, and advice to each mistake in `fail`. `TRYBUILD=overwrite cargo test --test ui` writes the advice anew; read it like
//! prose.

#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
// It asks for the opposite of `unreachable_pub`.
#![allow(clippy::redundant_pub_crate)]

mod api;
mod pass;

#[test]
fn mistakes_get_advice() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    if cfg!(not(feature = "blocking")) {
        cases.compile_fail("tests/ui/fail-without-blocking/*.rs");
    }
}
