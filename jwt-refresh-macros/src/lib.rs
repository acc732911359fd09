//! The `#[refresh_token]` attribute of `jwt-refresh`, which re-exports and documents it.
//!
//! The macro knows nothing of access tokens or HTTP. It writes a *guard* into each function, and
//! the guard calls the runtime under `#krate::__private`. There are four stages:
//!
//! 1. `parse` reads the item that the attribute stands on. `shape` tells how each function returns
//!    its result, and thus where in the function the guard goes.
//! 2. `args` reads the options.
//! 3. `valid` decides which functions to guard, and collects every mistake. `rerun` finds those
//!    that are mistakes only with `retry`, and `forgotten` finds where `token` is missing.
//! 4. `expand` writes the item, or, after a mistake, `fallback` does: as the item was, so that the
//!    editor still knows it, with the errors beside it.
//!
//! `expand` chooses between two kinds of guard:
//!
//! - `check`, without `retry`, is a statement before the body.
//! - `retry` is a loop around the body. `arguments` gives each run of the body its own arguments,
//!   and `usage` tells which it need not own.
//!
//! Both write at a `site`, which knows what can be named there. `tokens` has helpers on token
//! trees.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// A panic in library code is a defect. Tests may unwrap.
#![warn(clippy::unwrap_used)]

#[macro_use]
mod args;
mod arguments;
mod check;
mod expand;
mod fallback;
mod forgotten;
mod parse;
mod rerun;
mod retry;
mod shape;
mod site;
#[cfg(test)]
mod tests;
mod tokens;
mod usage;
mod valid;

use proc_macro2::{Span, TokenStream};

use crate::parse::Names;

/// Gives a method a valid access token: refreshes the token, if necessary, before the body runs.
///
/// The attribute goes on a method; on an `impl` block or a trait definition, for every async method
/// in it that has a receiver and a body; or, with `from`, on a free function.
///
/// A method is async if it is an `async fn`, or if it returns a future: an `impl Future`, a
/// `BoxFuture`, or an alias of one. Its body must then end in the `async` block that is to be
/// guarded, in a method call on that block as in `async move { … }.boxed()`, or in a call whose
/// only argument is that block as in `Box::pin(async move { … })`. What `#[async_trait]` makes of a
/// method is async too, whether that attribute stands above or below this one. A method that is not
/// async needs an attribute of its own, and the feature `blocking`.
///
#[doc = option_table!()]
///
/// `from` takes any `TokenProvider`; the expression is evaluated once per call.
///
/// In an annotated block, `#[refresh_token(…)]` on a method changes the options for that method,
/// and `#[refresh_token(skip)]` leaves the method as it is.
///
/// The method must return a `Result` whose error implements `From<jwt_refresh::Error>`: a failed
/// refresh is reported as that error.
///
/// # Retry
///
/// With `retry`, the error or the value in `Ok` tells whether it is a 401: see `Unauthorized`. With
/// `retry_if`, the function tells: a `fn(&E) -> bool` or a `fn(&Result<T, E>) -> bool`, which may
/// be generic. Errors of generated clients often need it, because they have no `source` in which a
/// 401 could be found.
///
/// The body may run twice. What it takes by value, the token included, is therefore cloned for each
/// run. An argument is not, and need not be `Clone`, if the body does not use it or only borrows it
/// as `&name`, `&name.field` or in `format!` and the like, or calls it and it is an `Fn`, and has
/// no `move` block. The body cannot consume `self` or a field of it, and it cannot return what it
/// borrows from a `&mut self`.
///
/// A future with `retry` is larger than without by at most 64 bytes, and by such arguments, which
/// it keeps for the second run.
///
/// After a second 401 the provider is told of that one too, and the method fails with a
/// `jwt_refresh::Error` of the kind `RejectedAsIssued`. That error takes the place of the method's
/// own, or of its value, which is dropped: what the server said beside the 401 is lost, unless the
/// body logs it.
///
/// For a list of many pages, put `retry` on the method that gets one page, and not on the one that
/// loops over them: after a 401 that one would begin anew at the first page.
///
/// # Other attributes
///
/// Other attributes can stand above and below this one. With `retry` on a `&mut self` method, this
/// attribute must stand above those that move the body into a future of their own, such as
/// `#[tracing::instrument]`.
#[proc_macro_attribute]
pub fn refresh_token(args: proc_macro::TokenStream, input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let source = Span::call_site().source_text();
    let names = Names { imported: source.as_deref().and_then(parse::attribute_name) };
    attribute(args.into(), &input.into(), names).into()
}

fn attribute(args: TokenStream, input: &TokenStream, names: Names<'_>) -> TokenStream {
    let mut errors = Vec::new();
    let Some(mut item) = parse::item(input.clone(), names, &mut errors) else {
        return fallback::verbatim(input, &errors);
    };
    valid::item(&mut item, args, &mut errors);
    if errors.is_empty() { expand::item(&item) } else { fallback::item(&item, &errors) }
}
