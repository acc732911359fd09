//! Methods that the attribute accepts: one shape in each file, without `retry` and with it.

mod aliases_of_futures;
#[allow(
    clippy::iter_count,
    clippy::manual_async_fn,
    clippy::uninlined_format_args,
    clippy::useless_format,
    reason = "they fire without the attribute too"
)]
mod arguments;
mod arguments_without_retry;
mod async_method;
mod async_trait;
#[cfg(feature = "blocking")]
mod blocking;
mod bodies;
#[allow(clippy::needless_question_mark, clippy::useless_conversion, reason = "they fire without the attribute too")]
mod combinators;
mod generics;
#[allow(clippy::manual_async_fn, reason = "it fires without the attribute too")]
mod impl_future;
mod imported_under_another_name;
mod inherent_impl;
mod lifetimes;
mod lints_that_still_fire;
mod made_by_macro;
mod mut_self;
mod other_attributes;
mod outputs;
mod owned_self;
#[allow(clippy::manual_async_fn, reason = "it fires without the attribute too")]
mod retry_where_it_was_refused;
mod session_elsewhere;
mod shared_self;
mod trait_impl;
mod trait_with_default_bodies;
mod unsafe_fn;
