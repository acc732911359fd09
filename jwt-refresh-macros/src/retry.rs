//! The guard with `retry`: a loop around the body, which becomes a future of its own in place.
//!
//! The body runs once, and once more if it was answered with a 401. What it takes by value must
//! therefore not be the function's arguments but copies of them: `arguments` writes those.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, Token, UnOp};

use crate::args::Retry;
use crate::arguments::{self, mutable_receiver};
use crate::rerun;
use crate::shape::Shape;
use crate::site::{Place, Site};
use crate::tokens::{braces, located_at};

// Input:
//     { BODY }
//
// Output:
//     let mut held = TOKEN;
//     // With `from`, without `token`:
//     ::jwt_refresh::__private::unused_lease(&held).unused_lease();
//     let mut rerun = false;
//     let mut vain = ::jwt_refresh::__private::VainRetry::default();
//     loop {
//         let next = {
//             let result = RUN;
//             // If the body may consume `self`:
//             let _ = &self.session;
//             if !REJECTED {
//                 let head = ::jwt_refresh::__private::response(&result).head();
//                 let in_vain = vain.is_seen();
//                 let next = ::jwt_refresh::__private::next_run(
//                     &self.session, &held, head, rerun, in_vain,
//                 );
//                 if next.is_none() {
//                     break result;
//                 }
//                 next
//             } else if vain.is_seen() {
//                 break result;
//             } else {
//                 ::core::option::Option::None
//             }
//         };
//         let renewal = match next {
//             ::core::option::Option::Some(renewal) => renewal,
//             ::core::option::Option::None if rerun => {
//                 let error = ::jwt_refresh::__private::rejected_again(&self.session, &held);
//                 return ::jwt_refresh::__private::CarryError::carry(error);
//             }
//             ::core::option::Option::None => {
//                 ::jwt_refresh::__private::rejected(&self.session, &held)
//             }
//         };
//         rerun = true;
//         held = match renewal.await { … };
//     }
//
// The block around the result drops it before anything is awaited, so it need not be `Send`.
pub(crate) fn guard(site: &Site<'_>, body: &Group, inner: &TokenStream) -> TokenStream {
    let once = once_only(site, body);
    let before = arguments::before(site, body);
    let (kept, provider) = kept_provider(site);
    let still_there = still_there(site, body, &provider);
    let runtime = site.runtime();
    let token = site.token(&provider);
    let run = run(site, body, inner);
    let rejected = rejected(site, &provider);
    let replaced = replaced(site, &provider);
    // In a closure, literals of which the return type tells the type are taken for unclear ones.
    let literals = (site.function.shape == Shape::Sync).then(|| quote!(#[allow(clippy::default_numeric_fallback)]));
    let unused = site.unused_lease().filter(|_| site.options.token.is_none());
    let unused = unused.map(|method| quote_spanned!(Span::mixed_site()=> #runtime::unused_lease(&held).#method();));
    quote_spanned! {Span::mixed_site()=>
        #once
        #before
        #kept
        let mut held = #token;
        #unused
        let mut rerun = false;
        let mut vain = #runtime::VainRetry::default();
        loop {
            let next = {
                #literals
                let result = #run;
                #still_there
                #rejected else if vain.is_seen() {
                    break result;
                } else {
                    ::core::option::Option::None
                }
            };
            #replaced
        }
    }
}

/// Returns the statements that replace the token before the body runs again.
// Output:
//     let renewal = match next { … };
//     rerun = true;
//     held = match renewal.await { … };
fn replaced(site: &Site<'_>, provider: &TokenStream) -> TokenStream {
    let runtime = site.runtime();
    let fail = site.fail();
    let (stepped_up, renewal) = match site.function.shape {
        Shape::Sync => (
            quote_spanned!(Span::mixed_site()=> #runtime::BlockingGuard::wait(renewal)),
            quote_spanned!(Span::mixed_site()=> #runtime::BlockingGuard::rejected(#provider, &held)),
        ),
        Shape::Async | Shape::Future => (
            quote_spanned!(Span::mixed_site()=> renewal),
            quote_spanned!(Span::mixed_site()=> #runtime::rejected(#provider, &held)),
        ),
    };
    let renewed = site.unwrapped(&match site.function.shape {
        Shape::Sync => quote_spanned!(Span::mixed_site()=> renewal),
        Shape::Async | Shape::Future => quote_spanned!(Span::mixed_site()=> renewal.await),
    });
    quote_spanned! {Span::mixed_site()=>
        let renewal = match next {
            ::core::option::Option::Some(renewal) => #stepped_up,
            ::core::option::Option::None if rerun => {
                let error = #runtime::rejected_again(#provider, &held);
                return #fail;
            }
            ::core::option::Option::None => #renewal,
        };
        rerun = true;
        held = #renewed;
    }
}

/// Returns a statement that does not compile if the body moves a field out of `self`, which would
/// not be there for the second run. It is never run.
// Output:
//     if false {
//         let field = ::jwt_refresh::__private::field(&self.name);
//         field.reused();
//     }
fn once_only(site: &Site<'_>, body: &Group) -> Option<TokenStream> {
    let receiver = site.receiver()?.to_string();
    let fields = rerun::moved_fields(site.function, &body.stream(), &receiver);
    let runtime = site.runtime();
    let reused = fields.iter().map(|field| {
        let place = Place::of(field);
        let [value, reused] = [("field", place.start), ("reused", place.end)].map(|(name, at)| Ident::new(name, at));
        quote_spanned!(Span::mixed_site()=> let #value = #runtime::field(&#field); #value.#reused();)
    });
    (!fields.is_empty()).then(|| quote_spanned!(Span::mixed_site()=> if false { #(#reused)* }))
}

/// Returns a statement that does not compile after a run that has consumed `self`. Without it the
/// compiler would report that at the attribute, where the provider is used next.
// Output:
//     let _ = &self.session;
fn still_there(site: &Site<'_>, body: &Group, provider: &TokenStream) -> Option<TokenStream> {
    let receiver = site.receiver()?.to_string();
    let place = rerun::possible_move(site.function, body.stream(), &receiver)?.span();
    let provider = located_at(place, provider.clone());
    Some(quote_spanned!(Span::mixed_site()=> let _ = #provider;))
}

/// Returns a statement that keeps the provider, if there must be one, and the expression for it.
///
/// The loop names the provider more than once, but `from` is evaluated only once. A path can be
/// evaluated again. The value of any other expression is kept in a variable. If the expression is a
/// place in what another expression returns, such as `*guard()`, the variable holds a clone of that
/// place. If the body needs `self` exclusively, the variable must not borrow from `self`: then it
/// holds a clone of what the value borrows.
// Output:
//     let provider = ::core::convert::identity(self.auth.session());
fn kept_provider(site: &Site<'_>) -> (Option<TokenStream>, TokenStream) {
    let from = match &site.options.from {
        Some(from) if !is_path(from) => from,
        _ => return (None, site.provider()),
    };
    let place = is_place(from);
    let from = if place { site.provider() } else { site.renamed(from.to_token_stream()) };
    let runtime = site.runtime();
    let exclusive = site.function.receiver().is_some_and(|receiver| mutable_receiver(receiver) != Some(false));
    let kept = if place || exclusive {
        quote_spanned!(Span::mixed_site()=> { use #runtime::Keep as _; #runtime::Kept(#from).keep() })
    } else {
        // A call, so that a lock guard in the expression is dropped at once and does not live as
        // long as the variable.
        quote_spanned!(Span::mixed_site()=> ::core::convert::identity(#from))
    };
    (Some(quote_spanned!(Span::mixed_site()=> let provider = #kept;)), quote_spanned!(Span::mixed_site()=> &provider))
}

/// Returns whether `from` can be evaluated again without effect: `self.auth.session`,
/// `&sessions[0]`, `**session`.
fn is_path(from: &Expr) -> bool {
    match from {
        Expr::Path(_) | Expr::Lit(_) => true,
        Expr::Field(from) => is_path(&from.base),
        Expr::Index(from) => is_path(&from.expr) && is_path(&from.index),
        Expr::Reference(from) => is_path(&from.expr),
        Expr::Unary(from) => matches!(from.op, UnOp::Deref(_)) && is_path(&from.expr),
        Expr::Paren(from) => is_path(&from.expr),
        Expr::Group(from) => is_path(&from.expr),
        _ => false,
    }
}

/// Returns whether `from` names a place, which it would be a move to take the value of:
/// `*self.session.lock().unwrap()`, `state().session`.
fn is_place(from: &Expr) -> bool {
    match from {
        Expr::Field(_) | Expr::Index(_) => true,
        Expr::Unary(from) => matches!(from.op, UnOp::Deref(_)),
        Expr::Paren(from) => is_place(&from.expr),
        Expr::Group(from) => is_place(&from.expr),
        _ => false,
    }
}

// Output:
//     {
//         let token = ::jwt_refresh::__private::BodyRun::argument(&mut held);
//         let name = ::jwt_refresh::__private::BodyRun::argument(&mut name);
//         vain.watch(::core::pin::pin!(async move {
//             if let ::core::option::Option::Some(result) =
//                 ::core::option::Option::None::<Result<Product, Error>>
//             {
//                 return result;
//             }
//             { BODY }
//         })).await
//     }
//
// Output where the run does not own all that the body can name:
//     vain.watch(::core::pin::pin!(async {
//         let token = ::jwt_refresh::__private::BodyRun::argument(&mut held);
//         let name = ::jwt_refresh::__private::BodyRun::argument(&mut name);
//         …
//         { BODY }
//     })).await
//
// The second block is not `move`: the body borrows what it does not consume, because it may have to
// run again. The compiler reports an assignment that is not allowed at the start of such a block,
// and in a `move` block at the line at fault.
//
// The block has the span of the user's body, so that lints and errors about it are about that.
fn run(site: &Site<'_>, body: &Group, inner: &TokenStream) -> TokenStream {
    let arguments = run_arguments(site, body);
    let typed = site.typed().filter(|_| site.function.shape != Shape::Sync);
    let content = quote_spanned!(Span::mixed_site()=> #typed #inner);
    if owns_all(site, body) {
        let run = future(site, body, Some(Token![move](body.span_open())), content);
        return quote_spanned!(Span::mixed_site()=> { #arguments #run });
    }
    future(site, body, None, quote_spanned!(Span::mixed_site()=> #arguments #content))
}

/// Returns whether nothing but the run's arguments and a shared `self` can be named in the body.
/// What surrounds the block of a future may have other variables.
fn owns_all(site: &Site<'_>, body: &Group) -> bool {
    let shared = site.function.receiver().is_none_or(|receiver| mutable_receiver(receiver) == Some(false));
    let moved = site.async_trait.as_ref().map(|async_trait| &async_trait.arguments);
    let lent = arguments::lends_any(site, &quote!(#moved #body));
    shared && !lent && (site.function.shape != Shape::Future || site.async_trait.is_some() || site.alone)
}

/// Returns the statements with which a run takes the token and the arguments.
fn run_arguments(site: &Site<'_>, body: &Group) -> TokenStream {
    let token = site.options.token.as_ref().map(|binding| {
        let name = &binding.name;
        let unused = binding.shared.then(|| quote!(#[allow(unused_variables)]));
        let again = arguments::again(site, Place::of(name), &Ident::new("held", Span::mixed_site()));
        quote_spanned!(Span::mixed_site()=> #unused let #name = #again;)
    });
    let moved = site.async_trait.as_ref().map(|async_trait| &async_trait.arguments);
    let arguments = arguments::statements(site, &quote!(#moved #body));
    quote!(#token #arguments #moved)
}

/// Returns the call of a closure with `content`, or the `await` of a future, if the function waits.
fn future(site: &Site<'_>, body: &Group, capture: Option<Token![move]>, content: TokenStream) -> TokenStream {
    let block = braces(content, body.span());
    if site.function.shape == Shape::Sync {
        let output = site.output().map(|output| quote_spanned!(Span::mixed_site()=> -> #output));
        let start = quote_spanned!(body.span_open()=> #capture ||);
        return quote_spanned!(Span::mixed_site()=> vain.watch_blocking(#start #output #block));
    }
    let start = quote_spanned!(body.span_open()=> async #capture);
    quote_spanned!(Span::mixed_site()=> vain.watch(::core::pin::pin!(#start #block)).await)
}

// Output:
//     let answer = ::jwt_refresh::__private::answer(&result);
//     if !(answer.value.is_rejection() || answer.error.is_rejection("rename")) {
//         END
//     }
//
// Output with `retry_if = <path>`:
//     if !::jwt_refresh::__private::retry_if(<path>, &result).is_rejection() {
//         END
//     }
fn rejected(site: &Site<'_>, provider: &TokenStream) -> TokenStream {
    let runtime = site.runtime();
    let end = quote_spanned! {Span::mixed_site()=>
        let head = #runtime::response(&result).head();
        let in_vain = vain.is_seen();
        let next = #runtime::next_run(#provider, &held, head, rerun, in_vain);
        if next.is_none() {
            break result;
        }
        next
    };
    if let Some(Retry::ByFunction(Some(when))) = &site.options.retry {
        let place = Place::of(when);
        let question = site.call_at(place, &["retry_if"], quote_spanned!(Span::mixed_site()=> #when, &result));
        let is_rejection = Ident::new("is_rejection", place.start);
        return quote_spanned!(Span::mixed_site()=> if !#question.#is_rejection() { #end });
    }
    // `answer` has the same bound as `fail`, at the same place, so the compiler reports it once.
    let place = site.place();
    let and = Token![&](place.start);
    let result = Ident::new("result", place.end);
    let error = site.error_type();
    let generic = error.is_some_and(|error| site.is_type_parameter(error));
    let function = if generic { "answer_generic" } else { "answer" };
    let answer = site.call_at(place, &[function], quote!(#and #result));
    let of_error = Ident::new("is_rejection", error.map_or(place, Place::of).start);
    let method = site.function.sig.ident.to_string();
    quote_spanned! {Span::mixed_site()=>
        let answer = #answer;
        if !(answer.value.is_rejection() || answer.error.#of_error(#method)) {
            #end
        }
    }
}
