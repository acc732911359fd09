//! Writes the guarded functions. A guard is a statement before the body, which itself stays as it is: no closure, no box,
//! no further future, so `?`, `return`, borrows and lints in it mean what they say.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ExprReference, ReturnType, Token};

use crate::args::{Binding, Options};
use crate::parse::{Function, Item, Member};

/// Writes what stands before the body of a guarded function.
pub(crate) type Prologue = fn(&Function, &Options) -> TokenStream;

pub(crate) fn item(item: &Item) -> TokenStream {
    item_with(prologue, item)
}

pub(crate) fn item_with(prologue: Prologue, item: &Item) -> TokenStream {
    let block = match item {
        Item::Function(function) => return function_with(prologue, function),
        Item::Block(block) => block,
    };
    let members = block.members.iter().map(|member| match member {
        Member::Function(function) => function_with(prologue, function),
        Member::Other(tokens) => tokens.clone(),
    });
    let head = &block.head;
    let body = braces(members.collect(), block.body.span());
    quote!(#head #body)
}

// Input:
//     async fn product(&self, id: u64) -> Result<Product, Error> { BODY }
//
// Output:
//     async fn product(&self, id: u64) -> Result<Product, Error> {
//         PROLOGUE
//         { BODY }
//     }
//
// The body is a block of its own, so that no item in it hides what the prologue names (tracing#3311). The outer braces pass
// for the user's, lest `dead_code` take the function for ours and fall silent (tracing#3108); the inner ones are the
// macro's, lest `unused_braces` ask to remove them.
fn function_with(prologue: Prologue, function: &Function) -> TokenStream {
    let Function { attrs, head, tail, .. } = function;
    let (Some(options), Some(body)) = (&function.guard, function.body()) else {
        return quote!(#attrs #head #tail);
    };
    let prologue = prologue(function, options);
    let inner = braces(body.stream(), body.span().resolved_at(Span::mixed_site()));
    let body = braces(quote!(#prologue #inner), body.span());
    quote!(#attrs #head #body)
}

fn braces(content: TokenStream, span: Span) -> Group {
    let mut braces = Group::new(Delimiter::Brace, content);
    braces.set_span(span);
    braces
}

fn prologue(function: &Function, options: &Options) -> TokenStream {
    match &options.token {
        Some(binding) => token(function, options, binding),
        None => check(function, options),
    }
}

// The provider is asked in a statement of its own: what its expression holds, a lock guard maybe, is gone before the
// await, and so is the borrow of `self`, which would else ask for `Self: Sync` (async-trait#232). All is in a block of its
// own: nothing of it lives while the body runs.
//
// Output:
//     {
//         let stale = ::jwt_refresh::__private::check(&self.session);
//         if let ::core::option::Option::Some(renewal) = stale {
//             if let ::core::result::Result::Err(error) = renewal.await {
//                 return ::jwt_refresh::__private::fail(error);
//             }
//         }
//     }
fn check(function: &Function, options: &Options) -> TokenStream {
    let runtime = runtime(options);
    let provider = provider(function, options);
    let fail = fail(function, options);
    quote_spanned! {Span::mixed_site()=>
        {
            let stale = #runtime::check(#provider);
            if let ::core::option::Option::Some(renewal) = stale {
                if let ::core::result::Result::Err(error) = renewal.await {
                    return #fail;
                }
            }
        }
    }
}

// Output:
//     let token = {
//         let token = ::jwt_refresh::__private::token(&self.session);
//         match token {
//             ::core::result::Result::Ok(token) => token,
//             ::core::result::Result::Err(renewal) => match renewal.await {
//                 ::core::result::Result::Ok(token) => token,
//                 ::core::result::Result::Err(error) => return ::jwt_refresh::__private::fail(error),
//             },
//         }
//     };
fn token(function: &Function, options: &Options, binding: &Binding) -> TokenStream {
    let Binding { name, shared } = binding;
    let unused = shared.then(|| quote!(#[allow(unused_variables)]));
    let runtime = runtime(options);
    let provider = provider(function, options);
    let fail = fail(function, options);
    quote_spanned! {Span::mixed_site()=>
        #unused
        let #name = {
            let token = #runtime::token(#provider);
            match token {
                ::core::result::Result::Ok(token) => token,
                ::core::result::Result::Err(renewal) => match renewal.await {
                    ::core::result::Result::Ok(token) => token,
                    ::core::result::Result::Err(error) => return #fail,
                },
            }
        };
    }
}

fn runtime(options: &Options) -> TokenStream {
    let krate = options.krate();
    quote_spanned!(Span::mixed_site()=> #krate::__private)
}

/// `&self.session`, or `&` what the user said, at whose place the compiler then says that it is no provider.
fn provider(function: &Function, options: &Options) -> TokenStream {
    let Some(from) = &options.from else {
        let at = Span::mixed_site();
        // A `self` that a macro made is another than the method's: this one is the receiver's, moved to the attribute.
        let receiver = function.receiver().map(|receiver| Ident::new("self", at.resolved_at(receiver.self_token.span)));
        return quote_spanned!(at=> &#receiver.session);
    };
    let reference = ExprReference {
        attrs: Vec::new(),
        and_token: Token![&](ends(from).0),
        mutability: None,
        expr: Box::new(from.clone()),
    };
    reference.into_token_stream()
}

/// `::jwt_refresh::__private::fail(error)` at the place of the return type, where the compiler then says that it cannot
/// carry the error. To the compiler that place goes from the first token, a `::` of two trees, to the last. The path
/// between them stays at the attribute, so that a wrong `crate = <path>` is reported there only.
fn fail(function: &Function, options: &Options) -> TokenStream {
    let (start, end) = match &function.sig.output {
        ReturnType::Type(_, output) => ends(output),
        ReturnType::Default => ends(&function.sig.ident),
    };
    let mut runtime: Vec<TokenTree> = runtime(options).into_iter().collect();
    for tree in runtime.iter_mut().take(2).filter(|tree| tree.to_string() != "$crate") {
        tree.set_span(Span::mixed_site().located_at(start));
    }
    let fail = quote_spanned!(Span::mixed_site().located_at(end)=> fail(error));
    quote_spanned!(Span::mixed_site()=> #(#runtime)*::#fail)
}

/// The spans of the first and the last token: stable Rust cannot join them, but the compiler does, for what they enclose.
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.to_token_stream().into_iter().map(|tree| tree.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}
