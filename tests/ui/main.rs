//! What the compiler says to users of `#[refresh_token]`: nothing about the methods in `pass`,
//! although all lints are on, and advice on each mistake in `fail`.
//!
//! `TRYBUILD=overwrite cargo test --all-features --test ui` writes the advice anew. Read it like
//! prose.

#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
// This lint asks for the opposite of `unreachable_pub`.
#![allow(clippy::redundant_pub_crate)]

mod api;
mod pass;

use std::fs;

// The advice is that with all features, on which it depends which types implement a trait.
#[cfg(feature = "blocking")]
#[test]
fn the_compiler_gives_advice_on_each_mistake() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

#[cfg(not(feature = "blocking"))]
#[test]
fn without_a_feature_the_compiler_names_it_where_it_is_needed() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail-without-features/*.rs");
}

#[test]
fn no_message_names_the_hidden_module() {
    for folder in ["tests/ui/fail", "tests/ui/fail-without-features"] {
        let files = fs::read_dir(folder).expect("a folder of messages").map(|entry| entry.expect("a file").path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "stderr")) {
            let messages = fs::read_to_string(&file).expect("readable messages");
            assert!(!messages.contains("__private"), "{} names `__private`", file.display());
        }
    }
}
