//! What a function with `retry` cannot do, because its body may run twice. The compiler finds the
//! rest, but what it says of these is about the loop that the macro writes.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Error, FnArg, ReceiverKind, ReturnType, Type};

use crate::arguments::{mutable_receiver, owns_self};
use crate::parse::Function;
use crate::shape::{self, Shape};
use crate::tokens::{is_parentheses, is_punct, is_word, mentions};

/// Returns what prevents `function` from having `retry`.
pub(crate) fn mistake(function: &Function) -> Option<Error> {
    let receiver = function.receiver()?;
    let exclusive = mutable_receiver(receiver) != Some(false);
    let body = innermost(function)?;
    if exclusive && mentions(body.clone(), "__tracing_attr_span") {
        return Some(Error::new(Span::call_site(), BELOW_INSTRUMENT));
    }
    if mutable_receiver(receiver) == Some(true)
        && let Some(lent) =
            result(function).filter(|result| borrows(result.to_token_stream(), lifetime(function).as_deref()))
    {
        return Some(Error::new_spanned(lent, LENDS_SELF));
    }
    let consumed = if owns_self(function) { consumed_self(body) } else { None };
    consumed.map(|consumed| Error::new(consumed.span(), CONSUMES_SELF))
}

const BELOW_INSTRUMENT: &str = "with `retry`, `#[refresh_token]` must stand above `#[instrument]`, which moves `self` into a \
                                future that could run only once";

const LENDS_SELF: &str = "`retry` may run the body twice, so the method cannot return what it borrows from `&mut self`: \
                          take `&self`, or return a value that is owned";

const CONSUMES_SELF: &str =
    "`retry` may run the body twice, and this consumes `self`: pass a clone of it, or take `&self`";

/// Returns the content of the block that may run twice.
fn innermost(function: &Function) -> Option<TokenStream> {
    let body = function.body()?.stream();
    if function.shape != Shape::Future {
        return Some(body);
    }
    let mut innermost = None;
    shape::rewrite_future(body, &mut |block| {
        let found = shape::async_trait(block).map(|(_, found)| found.group);
        innermost = Some(found.as_ref().unwrap_or(block).stream());
        block.clone()
    });
    innermost
}

/// Returns the type of the result, if it can be told from that of its future.
fn result(function: &Function) -> Option<&Type> {
    match &function.sig.output {
        ReturnType::Type(_, output) if function.shape == Shape::Future => shape::awaited(output),
        ReturnType::Type(_, output) => Some(output),
        ReturnType::Default => None,
    }
}

/// Returns the name of the receiver's lifetime, if nothing else that could be returned has it.
fn lifetime(function: &Function) -> Option<String> {
    let lifetime = match &function.receiver()?.kind {
        ReceiverKind::Reference(_, lifetime, _) => lifetime.as_ref()?.ident.to_string(),
        _ => return None,
    };
    let mut others = function.sig.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_)));
    (!others.any(|input| mentions(input.to_token_stream(), &lifetime))).then_some(lifetime)
}

/// Returns whether a type has a reference or a lifetime that is that of the receiver: an elided
/// one, or one that is called `named`.
fn borrows(ty: TokenStream, named: Option<&str>) -> bool {
    let trees: Vec<TokenTree> = ty.into_iter().collect();
    trees.iter().enumerate().any(|(at, tree)| match tree {
        // The references in `Fn(&str)` are those of its callers.
        TokenTree::Group(group) if !is_fn(trees.get(at.wrapping_sub(1))) => borrows(group.stream(), named),
        tree if is_punct(tree, '&') => trees.get(at + 1).is_none_or(|next| !is_punct(next, '\'')),
        tree if is_punct(tree, '\'') => {
            trees.get(at + 1).is_some_and(|name| is_word(name, "_") || named.is_some_and(|named| is_word(name, named)))
        }
        _ => false,
    })
}

fn is_fn(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Ident(word)) if ["Fn", "FnMut", "FnOnce", "fn"].iter().any(|name| word == name))
}

/// Finds a `self` that is moved: `finish(self)`, `let this = self;`.
fn consumed_self(body: TokenStream) -> Option<Ident> {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        let before = |count: usize| at.checked_sub(count).and_then(|at| trees.get(at));
        match tree {
            // An item in the body has a `self` of its own.
            TokenTree::Ident(word) if word == "fn" || word == "impl" || word == "trait" => return None,
            TokenTree::Ident(word) if word == "self" => {
                let assigned = before(1).is_some_and(|tree| is_punct(tree, '='))
                    && before(2).is_some_and(|tree| matches!(tree, TokenTree::Ident(_)));
                if assigned && trees.get(at + 1).is_some_and(|tree| is_punct(tree, ';')) {
                    return Some(word.clone());
                }
            }
            TokenTree::Group(group) => {
                let called = matches!(before(1), Some(TokenTree::Ident(name)) if !is_keyword(name));
                let argument = if called && is_parentheses(tree) { argument_self(group.stream()) } else { None };
                if let Some(consumed) = argument.or_else(|| consumed_self(group.stream())) {
                    return Some(consumed);
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns whether parentheses after `word` are not those of a call.
fn is_keyword(word: &Ident) -> bool {
    ["match", "if", "while", "in", "return", "let", "await"].iter().any(|keyword| word == keyword)
}

/// Finds the `self` among the arguments of a call that is one of them as it stands.
fn argument_self(arguments: TokenStream) -> Option<Ident> {
    let trees: Vec<TokenTree> = arguments.into_iter().collect();
    trees.split(|tree| is_punct(tree, ',')).find_map(|argument| match argument {
        [TokenTree::Ident(word)] if word == "self" => Some(word.clone()),
        _ => None,
    })
}
