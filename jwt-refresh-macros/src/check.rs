//! The guard without `retry`: a statement before the body, which itself stays as it is.
//!
//! The statement puts the body into no closure, no box and no further future, so `?`, `return`,
//! borrows and lints in the body mean what they say.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::args::Binding;
use crate::shape::Shape;
use crate::site::Site;

// Output:
//     CHECK
//     { BODY }
//
// The `return` in the check does not tell the type of a block that is a future. A statement after
// it does, so that errors in the body are reported there.
pub(crate) fn guard(site: &Site<'_>, body: &TokenStream) -> TokenStream {
    let arguments = site.async_trait.as_ref().map(|async_trait| &async_trait.arguments);
    let check = match &site.options.token {
        Some(binding) => bind(site, binding),
        None => check(site),
    };
    let typed = if site.function.shape == Shape::Future { site.typed() } else { None };
    quote!(#check #typed #arguments #body)
}

// The provider is asked in a statement of its own. Temporaries of its expression, such as a lock
// guard, are dropped before the await. So is the borrow of `self`, which would otherwise require
// `Self: Sync` (async-trait#232). The outer block drops the rest before the body runs.
//
// Output:
//     {
//         let stale = ::jwt_refresh::__private::AsyncGuard::check(&self.session);
//         if let ::core::option::Option::Some(renewal) = stale {
//             match renewal.await {
//                 ::core::result::Result::Ok(_) => {}
//                 ::core::result::Result::Err(error) => {
//                     return ::jwt_refresh::__private::CarryError::carry(error);
//                 }
//             }
//         }
//     }
fn check(site: &Site<'_>) -> TokenStream {
    let runtime = site.runtime();
    let provider = site.provider();
    if site.function.shape == Shape::Sync {
        let unused = leave_unused(site, &quote_spanned!(Span::mixed_site()=> fresh));
        return quote_spanned!(Span::mixed_site()=> { let fresh = #runtime::BlockingGuard::check(#provider); #unused });
    }
    let unused = leave_unused(site, &quote_spanned!(Span::mixed_site()=> renewal.await));
    quote_spanned! {Span::mixed_site()=>
        {
            let stale = #runtime::AsyncGuard::check(#provider);
            if let ::core::option::Option::Some(renewal) = stale {
                #unused
            }
        }
    }
}

// Output:
//     match RESULT {
//         ::core::result::Result::Ok(_) => {}    // with `from`: Ok(token) => token.unused_lease()
//         ::core::result::Result::Err(error) => {
//             return ::jwt_refresh::__private::CarryError::carry(error);
//         }
//     }
fn leave_unused(site: &Site<'_>, result: &TokenStream) -> TokenStream {
    let fail = site.fail();
    let (token, unused) = match site.unused_lease() {
        Some(method) => {
            (quote_spanned!(Span::mixed_site()=> token), quote_spanned!(Span::mixed_site()=> token.#method()))
        }
        None => (quote_spanned!(Span::mixed_site()=> _), quote_spanned!(Span::mixed_site()=> {})),
    };
    quote_spanned! {Span::mixed_site()=>
        match #result {
            ::core::result::Result::Ok(#token) => #unused,
            ::core::result::Result::Err(error) => return #fail,
        }
    }
}

// Output:
//     let token = TOKEN;
fn bind(site: &Site<'_>, Binding { name, shared }: &Binding) -> TokenStream {
    let unused = shared.then(|| quote!(#[allow(unused_variables)]));
    let token = site.token(&site.provider());
    quote_spanned!(Span::mixed_site()=> #unused let #name = #token;)
}
