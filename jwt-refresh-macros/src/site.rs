//! Where a guard is written, what it can name there, and what both kinds of guard are made of.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{ExprReference, GenericArgument, PathArguments, ReturnType, Token, Type};

use crate::args::Options;
use crate::parse::Function;
use crate::shape::{AsyncTrait, Kept, Shape, awaited, inferred, with_any_value};

/// Where a guard is written, and what it can name there.
pub(crate) struct Site<'a> {
    pub(crate) function: &'a Function,
    pub(crate) options: &'a Options,
    /// What `#[async_trait]` made of the method, if it ran before this macro.
    pub(crate) async_trait: Option<AsyncTrait>,
    /// What of the result of the guarded block is in the result of the function.
    pub(crate) kept: Kept,
    /// The function has nothing but the block of the future that is guarded, and its arguments are
    /// plain names.
    pub(crate) alone: bool,
}

impl<'a> Site<'a> {
    pub(crate) fn new(function: &'a Function, options: &'a Options) -> Self {
        Self { function, options, async_trait: None, kept: Kept::All, alone: false }
    }

    /// Returns the name of the receiver: `self`, or what `#[async_trait]` calls it.
    ///
    /// The name is located at the attribute, because the guard that uses it comes from there. It
    /// has the hygiene of the receiver, because a `self` that another macro wrote is not the same
    /// variable as a `self` of this macro.
    pub(crate) fn receiver(&self) -> Option<Ident> {
        let name = |name: &str, span| Ident::new(name, Span::call_site().resolved_at(span));
        match &self.async_trait {
            Some(AsyncTrait { receiver, .. }) => receiver.as_ref().map(|receiver| name("__self", receiver.span())),
            None => self.function.receiver().map(|receiver| name("self", receiver.self_token.span)),
        }
    }

    pub(crate) fn runtime(&self) -> TokenStream {
        let krate = self.options.krate();
        quote_spanned!(Span::mixed_site()=> #krate::__private)
    }

    /// Returns `&self.session`, or `&FROM` with the user's `from = FROM`.
    ///
    /// If `FROM` is no provider, the compiler says so at the user's expression.
    pub(crate) fn provider(&self) -> TokenStream {
        let Some(from) = &self.options.from else {
            let receiver = self.receiver();
            // With the hygiene of the receiver: only then the compiler names the fields that there
            // are, if this is none.
            let session = receiver.as_ref().map(|receiver| Ident::new("session", receiver.span()));
            return quote_spanned!(Span::mixed_site()=> &#receiver.#session);
        };
        let reference = ExprReference {
            attrs: Vec::new(),
            // With the location and the hygiene of the user's expression: otherwise the compiler
            // takes the `&` and the expression together for one expression of this macro.
            and_token: Token![&](Spanned::span(from)),
            mutability: None,
            expr: Box::new(from.clone()),
        };
        self.renamed(reference.into_token_stream())
    }

    /// Replaces `self` in what the user wrote, where `#[async_trait]` calls the receiver otherwise.
    pub(crate) fn renamed(&self, tokens: TokenStream) -> TokenStream {
        match &self.async_trait {
            Some(AsyncTrait { receiver: Some(receiver), .. }) => rename_self(tokens, receiver),
            _ => tokens,
        }
    }

    /// Returns the type of the value that the body evaluates to, or an alias of its future.
    pub(crate) fn result(&self) -> Option<&Type> {
        match &self.function.sig.output {
            ReturnType::Type(_, output) if self.function.shape == Shape::Future => awaited(output).or(Some(output)),
            ReturnType::Type(_, output) => Some(output),
            ReturnType::Default => None,
        }
    }

    /// Returns the type that the function's future evaluates to, unless it is that of an alias.
    fn awaited(&self) -> Option<&Type> {
        match &self.function.sig.output {
            ReturnType::Type(_, output) => awaited(output),
            ReturnType::Default => None,
        }
    }

    /// Returns the type of the value that the body evaluates to, as it can be written in the body.
    pub(crate) fn output(&self) -> Option<TokenStream> {
        let result = inferred(self.result()?.clone());
        match &self.function.sig.output {
            ReturnType::Type(_, output) if self.function.shape == Shape::Future && awaited(output).is_none() => {
                Some(quote_spanned!(Span::mixed_site()=> <#result as ::core::future::Future>::Output))
            }
            _ => Some(result.into_token_stream()),
        }
    }

    /// Returns a statement that tells the compiler what the block that it stands in evaluates to,
    /// as far as that is known.
    ///
    /// Its `return` is never reached. Before the first `?` or `return` of the body, it makes the
    /// compiler report errors in the body where they are. With `retry` the compiler must know the
    /// type before it sees what surrounds the block. So there a function that the block is an
    /// argument of is taken for one that keeps it.
    // Output:
    //     if let ::core::option::Option::Some(result) =
    //         ::core::option::Option::None::<Result<Product, Error>>
    //     {
    //         return result;
    //     }
    pub(crate) fn typed(&self) -> Option<TokenStream> {
        let output = match (self.kept, &self.options.retry) {
            (Kept::All, _) | (Kept::Unknown, Some(_)) => self.output()?,
            (Kept::Error, Some(_)) => with_any_value(self.awaited()?.clone()).into_token_stream(),
            (Kept::Unknown | Kept::Error, None) | (Kept::Nothing, _) => return None,
        };
        Some(quote_spanned! {Span::mixed_site()=>
            if let ::core::option::Option::Some(result) = ::core::option::Option::None::<#output> {
                return result;
            }
        })
    }

    // Output:
    //     {
    //         let token = ::jwt_refresh::__private::AsyncGuard::token(&self.session);
    //         match token {
    //             ::core::result::Result::Ok(token) => token,
    //             ::core::result::Result::Err(renewal) => match renewal.await {
    //                 ::core::result::Result::Ok(token) => token,
    //                 ::core::result::Result::Err(error) => {
    //                     return ::jwt_refresh::__private::CarryError::carry(error);
    //                 }
    //             },
    //         }
    //     }
    pub(crate) fn token(&self, provider: &TokenStream) -> TokenStream {
        let runtime = self.runtime();
        if self.function.shape == Shape::Sync {
            let token = quote_spanned!(Span::mixed_site()=> token);
            let unwrapped = self.unwrapped(&token);
            return quote_spanned!(Span::mixed_site()=> { let token = #runtime::BlockingGuard::token(#provider); #unwrapped });
        }
        let renewed = self.unwrapped(&quote_spanned!(Span::mixed_site()=> renewal.await));
        quote_spanned! {Span::mixed_site()=>
            {
                let token = #runtime::AsyncGuard::token(#provider);
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
    //         ::core::result::Result::Err(error) => {
    //             return ::jwt_refresh::__private::CarryError::carry(error);
    //         }
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

    /// Returns the name of the method to call on a token that the body does not use.
    ///
    /// The call does not compile for the lease of a pool, which is charged for a call and must
    /// therefore be used. The error points at the method's name, whose place this name has. The
    /// call adds a fifth to what a method costs the compiler, so it is written only with `from`:
    /// that is where a user names a pool.
    pub(crate) fn unused_lease(&self) -> Option<Ident> {
        self.options.from.as_ref()?;
        Some(Ident::new("unused_lease", Place::of(&self.function.sig.ident).start))
    }

    /// Returns `::jwt_refresh::__private::CarryError::carry(error)`, placed at the return type.
    ///
    /// If the error is a type parameter, the call is one whose bound is on that alone, so that the
    /// compiler says what to write: `E: From<jwt_refresh::Error>`.
    pub(crate) fn fail(&self) -> TokenStream {
        let error = quote_spanned!(Span::mixed_site()=> error);
        match self.error_type() {
            Some(ty) if self.is_type_parameter(ty) => self.call_at(Place::of(ty), &["GenericError", "carry"], error),
            _ => self.call_at(self.place(), &["CarryError", "carry"], error),
        }
    }

    /// Returns the `E` of `Result<T, E>`, if the return type is written like that.
    pub(crate) fn error_type(&self) -> Option<&Type> {
        let Some(Type::Path(output)) = self.result() else { return None };
        match &output.path.segments.last()?.arguments {
            PathArguments::AngleBracketed(arguments) if arguments.args.len() > 1 => match arguments.args.last()? {
                GenericArgument::Type(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn is_type_parameter(&self, ty: &Type) -> bool {
        match ty {
            Type::Path(ty) => ty.path.get_ident().is_some_and(|name| self.function.is_type_parameter(name)),
            _ => false,
        }
    }

    /// Returns the place of the return type, or that of the function's name if there is none.
    pub(crate) fn place(&self) -> Place {
        self.result().map_or_else(|| Place::of(&self.function.sig.ident), Place::of)
    }

    /// Returns a call of the runtime. If its bounds do not hold, the compiler reports that at
    /// `place`.
    ///
    /// To the compiler the call reaches from its first token, a `::` of two trees, to its last.
    /// The path between them stays at the attribute, so that a wrong `crate = <path>` is reported
    /// only there.
    pub(crate) fn call_at(&self, place: Place, path: &[&str], arguments: TokenStream) -> TokenStream {
        let mut runtime: Vec<TokenTree> = self.runtime().into_iter().collect();
        for tree in runtime.iter_mut().take(2).filter(|tree| tree.to_string() != "$crate") {
            tree.set_span(place.start);
        }
        let names = path.iter().enumerate().map(|(at, name)| {
            let span = if at + 1 == path.len() { place.end } else { Span::mixed_site() };
            Ident::new(name, span)
        });
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(place.end);
        quote_spanned!(Span::mixed_site()=> #(#runtime)* #(::#names)* #arguments)
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

/// The spans of the first and the last token of something that the user wrote.
///
/// Tokens of the macro that have these two spans are reported at the user's code. Stable Rust
/// cannot join two spans, but the compiler joins those of an expression's first and last token.
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
