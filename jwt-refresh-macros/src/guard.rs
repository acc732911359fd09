//! The guard: a statement before the body, which itself stays as it is: no closure, no box, no further future, so `?`,
//! `return`, borrows and lints in it mean what they say. What `retry` adds to that is in `retry`.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ExprReference, ReturnType, Token, Type};

use crate::args::{Binding, Options};
use crate::parse::Function;
use crate::retry;
use crate::shape::{AsyncTrait, Shape, awaited};
use crate::tokens::braces;

/// Where a guard is written, and what it can name there.
pub(crate) struct Site<'a> {
    pub(crate) function: &'a Function,
    pub(crate) options: &'a Options,
    /// What `#[async_trait]` has done to the method before us.
    pub(crate) async_trait: Option<AsyncTrait>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(function: &'a Function, options: &'a Options) -> Self {
        Self { function, options, async_trait: None }
    }

    /// `self`, by whatever name it goes here. Not at its own place, for what we do with it is the attribute's doing; but with
    /// the hygiene of the receiver, since a `self` that a macro made is another than the method's.
    pub(crate) fn receiver(&self) -> Option<Ident> {
        let name = |name: &str, span| Ident::new(name, Span::call_site().resolved_at(span));
        match &self.async_trait {
            Some(AsyncTrait { receiver, .. }) => receiver.as_ref().map(|receiver| name("__self", receiver.span())),
            None => self.function.receiver().map(|receiver| name("self", receiver.self_token.span)),
        }
    }

    // Input:
    //     { BODY }
    //
    // Output:
    //     {
    //         CHECK
    //         { BODY }
    //     }
    //
    // The body is a block of its own, so that no item in it hides what the guard names (tracing#3311). The outer braces
    // pass for the user's, lest `dead_code` take the function for ours and fall silent (tracing#3108); the inner ones are
    // the macro's, lest `unused_braces` ask to remove them.
    pub(crate) fn guard(&self, body: &Group) -> Group {
        let inner = inner_block(body);
        if self.options.retry.is_some() {
            return braces(retry::rerun(self, &inner), body.span());
        }
        let arguments = self.async_trait.as_ref().map(|async_trait| &async_trait.arguments);
        let check = match &self.options.token {
            Some(binding) => self.bind(binding),
            None => self.check(),
        };
        braces(quote!(#check #arguments #inner), body.span())
    }

    // The provider is asked in a statement of its own: what its expression holds, a lock guard maybe, is gone before the
    // await, and so is the borrow of `self`, which would else ask for `Self: Sync` (async-trait#232). All is in a block of
    // its own: nothing of it lives while the body runs.
    //
    // Output:
    //     {
    //         let stale = ::jwt_refresh::__private::check(&self.session);
    //         if let ::core::option::Option::Some(renewal) = stale {
    //             match renewal.await {
    //                 ::core::result::Result::Ok(_) => {}
    //                 ::core::result::Result::Err(error) => return ::jwt_refresh::__private::fail(error),
    //             }
    //         }
    //     }
    fn check(&self) -> TokenStream {
        let runtime = self.runtime();
        let provider = self.provider();
        if self.function.shape == Shape::Sync {
            let spared = self.spared(&quote_spanned!(Span::mixed_site()=> fresh));
            return quote_spanned!(Span::mixed_site()=> { let fresh = #runtime::blocking::check(#provider); #spared });
        }
        let spared = self.spared(&quote_spanned!(Span::mixed_site()=> renewal.await));
        quote_spanned! {Span::mixed_site()=>
            {
                let stale = #runtime::check(#provider);
                if let ::core::option::Option::Some(renewal) = stale {
                    #spared
                }
            }
        }
    }

    // Output:
    //     match RESULT {
    //         ::core::result::Result::Ok(token) => token.spared(),
    //         ::core::result::Result::Err(error) => return ::jwt_refresh::__private::fail(error),
    //     }
    fn spared(&self, result: &TokenStream) -> TokenStream {
        let fail = self.fail();
        let (token, spared) = match self.must_not_spare() {
            Some(call) => {
                (quote_spanned!(Span::mixed_site()=> token), quote_spanned!(Span::mixed_site()=> token.#call()))
            }
            None => (quote_spanned!(Span::mixed_site()=> _), quote_spanned!(Span::mixed_site()=> {})),
        };
        quote_spanned! {Span::mixed_site()=>
            match #result {
                ::core::result::Result::Ok(#token) => #spared,
                ::core::result::Result::Err(error) => return #fail,
            }
        }
    }

    /// The name of the call that is an error if the method has to use its token, at the method's name. It would add a
    /// fifth to what a method costs the compiler, so it is made only of what a user names: that is where pools are.
    pub(crate) fn must_not_spare(&self) -> Option<Ident> {
        self.options.from.as_ref()?;
        Some(Ident::new("spared", Place::of(&self.function.sig.ident).start))
    }

    // Output:
    //     let token = TOKEN;
    fn bind(&self, Binding { name, shared }: &Binding) -> TokenStream {
        let unused = shared.then(|| quote!(#[allow(unused_variables)]));
        let token = self.token(&self.provider());
        quote_spanned!(Span::mixed_site()=> #unused let #name = #token;)
    }

    // Output:
    //     {
    //         let token = ::jwt_refresh::__private::token(&self.session);
    //         match token {
    //             ::core::result::Result::Ok(token) => token,
    //             ::core::result::Result::Err(renewal) => match renewal.await {
    //                 ::core::result::Result::Ok(token) => token,
    //                 ::core::result::Result::Err(error) => return ::jwt_refresh::__private::fail(error),
    //             },
    //         }
    //     }
    pub(crate) fn token(&self, provider: &TokenStream) -> TokenStream {
        let runtime = self.runtime();
        if self.function.shape == Shape::Sync {
            let token = quote_spanned!(Span::mixed_site()=> token);
            let unwrapped = self.unwrapped(&token);
            return quote_spanned!(Span::mixed_site()=> { let token = #runtime::blocking::token(#provider); #unwrapped });
        }
        let renewed = self.unwrapped(&quote_spanned!(Span::mixed_site()=> renewal.await));
        quote_spanned! {Span::mixed_site()=>
            {
                let token = #runtime::token(#provider);
                match token {
                    ::core::result::Result::Ok(token) => token,
                    ::core::result::Result::Err(renewal) => #renewed,
                }
            }
        }
    }

    // Output:
    //     match RESULT {
    //         ::core::result::Result::Ok(token) => token,
    //         ::core::result::Result::Err(error) => return ::jwt_refresh::__private::fail(error),
    //     }
    pub(crate) fn unwrapped(&self, result: &TokenStream) -> TokenStream {
        let fail = self.fail();
        quote_spanned! {Span::mixed_site()=>
            match #result {
                ::core::result::Result::Ok(token) => token,
                ::core::result::Result::Err(error) => return #fail,
            }
        }
    }

    pub(crate) fn runtime(&self) -> TokenStream {
        let krate = self.options.krate();
        quote_spanned!(Span::mixed_site()=> #krate::__private)
    }

    /// `&self.session`, or `&` what the user said, at whose place the compiler then says that it is no provider.
    pub(crate) fn provider(&self) -> TokenStream {
        let Some(from) = &self.options.from else {
            let receiver = self.receiver();
            return quote_spanned!(Span::mixed_site()=> &#receiver.session);
        };
        let reference = ExprReference {
            attrs: Vec::new(),
            // At the user's place and with the user's hygiene, lest the compiler take both to be one thing of ours.
            and_token: Token![&](Spanned::span(from)),
            mutability: None,
            expr: Box::new(from.clone()),
        };
        self.renamed(reference.into_token_stream())
    }

    /// What the user said of `self`, where `#[async_trait]` has given it another name.
    pub(crate) fn renamed(&self, tokens: TokenStream) -> TokenStream {
        match &self.async_trait {
            Some(AsyncTrait { receiver: Some(receiver), .. }) => rename_self(tokens, receiver),
            _ => tokens,
        }
    }

    /// The type of what the body gives.
    pub(crate) fn output(&self) -> Option<&Type> {
        match &self.function.sig.output {
            ReturnType::Type(_, output) if self.function.shape == Shape::Future => awaited(output),
            ReturnType::Type(_, output) => Some(output),
            ReturnType::Default => None,
        }
    }

    /// `::jwt_refresh::__private::fail(error)`, at the return type.
    pub(crate) fn fail(&self) -> TokenStream {
        self.call_at(self.place(), "fail", quote_spanned!(Span::mixed_site()=> error))
    }

    /// Where the return type stands, or the name for want of one.
    pub(crate) fn place(&self) -> Place {
        self.output().map_or_else(|| Place::of(&self.function.sig.ident), Place::of)
    }

    /// A call of the runtime that is reported at `place` if its bounds do not hold. To the compiler its place goes from the
    /// first token, a `::` of two trees, to the last. The path between stays at the attribute, so that a wrong
    /// `crate = <path>` is reported there only.
    pub(crate) fn call_at(&self, place: Place, function: &str, arguments: TokenStream) -> TokenStream {
        let mut runtime: Vec<TokenTree> = self.runtime().into_iter().collect();
        for tree in runtime.iter_mut().take(2).filter(|tree| tree.to_string() != "$crate") {
            tree.set_span(place.start);
        }
        let function = Ident::new(function, place.end);
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(place.end);
        quote_spanned!(Span::mixed_site()=> #(#runtime)*::#function #arguments)
    }
}

fn rename_self(tokens: TokenStream, receiver: &Ident) -> TokenStream {
    let rename = |tree| match tree {
        TokenTree::Ident(ident) if ident == "self" => TokenTree::Ident(receiver.clone()),
        TokenTree::Group(group) => {
            let mut renamed = Group::new(group.delimiter(), rename_self(group.stream(), receiver));
            renamed.set_span(group.span());
            TokenTree::Group(renamed)
        }
        tree => tree,
    };
    tokens.into_iter().map(rename).collect()
}

/// `body` as a block within other braces.
fn inner_block(body: &Group) -> Group {
    braces(body.stream(), body.span().resolved_at(Span::mixed_site()))
}

/// The first and the last token of something of the user's, for tokens of ours to be reported at: stable Rust cannot join
/// the two spans, but the compiler does.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: Span,
    pub(crate) end: Span,
}

impl Place {
    pub(crate) fn of(tokens: &(impl ToTokens + ?Sized)) -> Self {
        let mut spans = tokens.to_token_stream().into_iter().map(|tree| Span::mixed_site().located_at(tree.span()));
        let start = spans.next().unwrap_or_else(Span::mixed_site);
        Self { start, end: spans.last().unwrap_or(start) }
    }
}
