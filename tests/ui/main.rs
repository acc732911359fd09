//! What the compiler says to a user of `#[refresh_token]`: nothing to any file in `pass`, each of which is a shape of method,
//! and advice to each file in `fail`. `TRYBUILD=overwrite cargo test --test ui` writes the advice anew; read it like prose.

#[test]
fn mistakes_get_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
