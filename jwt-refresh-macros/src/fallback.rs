//! What the macro writes after a mistake: the item as it was, so that the editor still knows it,
//! and the errors beside it.

use proc_macro2::{Group, TokenStream};
use quote::quote;
use syn::Error;

use crate::args::Options;
use crate::expand;
use crate::parse::{Function, Item};
use crate::tokens::braces;

/// Writes an item that could not be read, with the errors.
pub(crate) fn verbatim(input: &TokenStream, errors: &[Error]) -> TokenStream {
    let errors = errors.iter().map(Error::to_compile_error);
    quote!(#(#errors)* #input)
}

/// Writes the item with the errors, but without its `#[refresh_token]` attributes, which would
/// report the same mistakes again.
pub(crate) fn item(item: &Item, errors: &[Error]) -> TokenStream {
    verbatim(&expand::item_with(unguarded, item), errors)
}

// The body gets a variable for the token, because a body that names the token would otherwise cause
// one more error: that there is no such variable.
//
// Output:
//     {
//         let token = ::core::option::Option::<::jwt_refresh::AccessToken>::None.unwrap();
//         BODY
//     }
fn unguarded(function: &Function, options: &Options, body: &Group) -> TokenStream {
    let Function { attrs, head, .. } = function;
    let placeholder =
        options.token_name().filter(|name| function.arguments().all(|argument| argument != *name)).map(|name| {
            let krate = options.krate();
            quote! {
                #[allow(unused_variables)]
                let #name = ::core::option::Option::<#krate::AccessToken>::None.unwrap();
            }
        });
    let content = body.stream();
    let body = braces(quote!(#placeholder #content), body.span());
    quote!(#attrs #head #body)
}
