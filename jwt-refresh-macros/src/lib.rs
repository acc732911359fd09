//! The `#[refresh_token]` attribute of `jwt-refresh`, which re-exports and documents it.
//!
//! The attribute's tokens pass four stages, one module each: `parse` reads what the attribute stands on, `args` its
//! options, `valid` decides which functions to guard and collects every mistake, and `expand` writes the result. After a
//! mistake `fallback` writes the item as it was, so that the editor keeps knowing it, with the errors beside it. The macro
//! knows nothing of tokens or HTTP: its output calls the runtime under `#krate::__private`.

#![forbid(unsafe_code)]
// A panic in library code is a defect; tests say `unwrap` as they please.
#![warn(clippy::unwrap_used)]

mod args;
mod arguments;
mod check;
mod expand;
mod fallback;
mod parse;
mod retry;
mod shape;
mod site;
#[cfg(test)]
mod tests;
mod tokens;
mod valid;

use proc_macro2::TokenStream;

/// Gives a method a valid access token: it refreshes the token, if need be, before the body runs.
///
/// Put it on a method, on an `impl` block or a trait definition (for every async method in it that has a receiver and a body), or,
/// with `from`, on a free function. Async are `async fn`, functions that return a future (`impl Future`, `BoxFuture`) and end
/// in an `async` block, and what `#[async_trait]` makes of either, above or below it. A method that is not async takes an
/// attribute of its own, and the feature `blocking`.
///
/// | option | means |
/// |---|---|
/// | `from = <expression>` | where the token comes from, any `TokenProvider`; evaluated once a call. Default: `self.session` |
/// | `token`, `token = <name>` | brings the token into the body's scope, as `token` or under your name |
/// | `retry` | if the body ends in a 401, gets a newer token and runs the body once more |
/// | `retry_if = <path>` | the same, and it is this function that knows a 401: `fn(&E) -> bool` or `fn(&Result<T, E>) -> bool` |
/// | `crate = <path>` | where the runtime is. Default: `::jwt_refresh` |
///
/// In an annotated block, a method's own `#[refresh_token(…)]` changes the options for that method, and
/// `#[refresh_token(skip)]` leaves it alone.
///
/// The method must return a `Result` whose error has `From<jwt_refresh::Error>`: that is how a failed refresh is reported.
///
/// # Retry
///
/// What is a 401 is for the error, or the value in `Ok`, to say: see `Unauthorized`. Because the body may run twice, what it
/// takes by value is cloned for each run, the token too; it cannot consume `self`, nor return what it borrows from a
/// `&mut self`. After a second 401 the provider is told of that one, too, and the method fails with an error that says so.
///
/// # Other attributes
///
/// Attributes work above and below this one. With `retry` on a `&mut self` method, put it above those that move the body into
/// a future of their own, such as `#[tracing::instrument]`.
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
