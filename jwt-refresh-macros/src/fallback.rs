//! What is written after a mistake: the item as it was, so that the editor still knows it, and the errors beside it.

use proc_macro2::{Group, TokenStream};
use quote::quote;
use syn::Error;

use crate::args::Options;
use crate::expand;
use crate::parse::{Function, Item};
use crate::tokens::braces;

/// For an item that we could not read.
pub(crate) fn verbatim(input: &TokenStream, errors: &[Error]) -> TokenStream {
    let errors = errors.iter().map(Error::to_compile_error);
    quote!(#(#errors)* #input)
}

/// Without our attributes, which would report the same once more.
pub(crate) fn item(item: &Item, errors: &[Error]) -> TokenStream {
    verbatim(&expand::item_with(unguarded, item), errors)
}

// A body that names the token would fail with one error more, that there is no such variable.
//
// Output:
//     {
//         let token = ::core::option::Option::<::jwt_refresh::AccessToken>::None.unwrap();
//         BODY
//     }
fn unguarded(function: &Function, options: &Options, body: &Group) -> TokenStream {
    let Function { attrs, head, .. } = function;
    let stand_in =
        options.token_name().filter(|name| function.arguments().all(|argument| argument != *name)).map(|name| {
            let krate = options.krate();
            quote! {
                #[allow(unused_variables)]
                let #name = ::core::option::Option::<#krate::AccessToken>::None.unwrap();
            }
        });
    let content = body.stream();
    let body = braces(quote!(#stand_in #content), body.span());
    quote!(#attrs #head #body)
}
