//! The `#[refresh_token]` attribute of [jwt-refresh](https://docs.rs/jwt-refresh), which re-exports and documents it.
//!
//! The attribute's tokens pass four stages, one module each: `parse` reads what the attribute stands on, `args` its
//! options, `valid` decides which functions to guard and collects every mistake, and `expand` writes the result. After a
//! mistake `fallback` writes the item as it was, so that the editor keeps knowing it, with the errors beside it. The macro
//! knows nothing of tokens or HTTP: its output calls the runtime under `#krate::__private`.

#![forbid(unsafe_code)]
// A panic in library code is a defect; tests say `unwrap` as they please.
#![warn(clippy::unwrap_used)]

mod args;
mod expand;
mod fallback;
mod guard;
mod parse;
mod retry;
mod shape;
#[cfg(test)]
mod tests;
mod valid;

use proc_macro2::TokenStream;

/// Gives a method a valid access token: it refreshes the token, if need be, before the body runs.
///
/// Put it on an async method, on an `impl` block (every async method with a receiver), on a trait definition (every async
/// method with a receiver and a default body), or, with `from`, on a free async function.
///
/// | option | means |
/// |---|---|
/// | `from = <expression>` | where the token comes from, any `TokenProvider`; evaluated once a call. Default: `self.session` |
/// | `token`, `token = <name>` | brings the token into the body's scope, as `token` or under your name |
/// | `crate = <path>` | where the runtime is. Default: `::jwt_refresh` |
///
/// In an annotated `impl` or trait, a method's own `#[refresh_token(…)]` changes the options for that method, and
/// `#[refresh_token(skip)]` leaves the method alone. Functions that are not async or have no receiver are left alone anyway.
///
/// The method must return a `Result` whose error has `From<jwt_refresh::Error>`: that is how a failed refresh is reported.
#[proc_macro_attribute]
pub fn refresh_token(args: proc_macro::TokenStream, input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    attribute(args.into(), &input.into()).into()
}

fn attribute(args: TokenStream, input: &TokenStream) -> TokenStream {
    let mut errors = Vec::new();
    let Some(mut item) = parse::item(input.clone(), &mut errors) else {
        return fallback::verbatim(input, &errors);
    };
    valid::item(&mut item, args, &mut errors);
    if errors.is_empty() { expand::item(&item) } else { fallback::item(&item, &errors) }
}
