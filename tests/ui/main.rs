//! What the compiler says to a user of `#[refresh_token]`: nothing to any shape of method in `pass`, though all lints are
//! on, and advice to each mistake in `fail`. `TRYBUILD=overwrite cargo test --all-features --test ui` writes the advice anew; read it like
//! prose.

#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
// It asks for the opposite of `unreachable_pub`.
#![allow(clippy::redundant_pub_crate)]

mod api;
mod pass;

// With all features, as `scripts/test` has it: the compiler lists what implements a trait, and that depends on them.
#[cfg(feature = "blocking")]
#[test]
fn mistakes_get_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

#[cfg(not(feature = "blocking"))]
#[test]
fn without_a_feature_the_compiler_names_it_where_it_is_needed() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail-without-features/*.rs");
}
