//! What a function with `retry` cannot do, because its body may run twice. The compiler finds the
//! rest, but what it says of these is about the loop that the macro writes.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Error, FnArg, ReceiverKind, ReturnType, Type};

use crate::arguments::{mutable_receiver, owns_self};
use crate::parse::Function;
use crate::shape::{self, Shape};
use crate::tokens::{is_braces, is_parentheses, is_punct, is_word, mentions};

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
    let consumed = values(body, "self").into_iter().find(|value| value.len() == 1 && owns_self(function))?;
    Some(Error::new_spanned(consumed.into_iter().collect::<TokenStream>(), CONSUMES_SELF))
}

/// Returns the fields of `self`, called `name`, that `body` moves if they are not `Copy`.
pub(crate) fn moved_fields(function: &Function, body: &TokenStream, name: &str) -> Vec<TokenStream> {
    let exclusive = function.receiver().is_some_and(|receiver| mutable_receiver(receiver) != Some(false));
    // A field may be there under a condition.
    if !exclusive || mentions(body.clone(), "cfg") {
        return Vec::new();
    }
    let fields = values(body.clone(), name).into_iter().filter(|value| value.len() > 1);
    fields.map(|field| field.into_iter().collect()).collect()
}

/// Returns where `body` is most likely to consume `self` or a part of it, where the function owns
/// `self`, which is called `name`. Only the compiler knows whether it does.
pub(crate) fn possible_move(function: &Function, body: TokenStream, name: &str) -> Option<Ident> {
    let mut found = Vec::new();
    if owns_self(function) {
        find_possible_moves(body, name, &mut found);
    }
    found.into_iter().min_by_key(|(likelihood, _)| *likelihood).map(|(_, word)| word)
}

/// What may consume `self`, the most likely first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PossibleMove {
    /// `self.name.into_bytes()`, `self.into_parts()`, which are called what consumes is called.
    Into,
    /// `let Self { name, .. } = self`.
    Whole,
    /// `self.finish()`.
    Method,
}

impl PossibleMove {
    /// Tells it by what stands after `self`.
    fn of(after: &[TokenTree]) -> Option<Self> {
        let fields = after.chunks(2).map_while(|pair| match pair {
            [dot, TokenTree::Ident(name)] if is_punct(dot, '.') => Some(name),
            _ => None,
        });
        let names: Vec<&Ident> = fields.collect();
        let called = after.get(2 * names.len()).is_some_and(|next| is_parentheses(next) || is_punct(next, ':'));
        match *names.as_slice() {
            [] => Some(Self::Whole).filter(|_| !after.first().is_some_and(|next| is_punct(next, '.'))),
            [.., last] if called && last.to_string().starts_with("into") => Some(Self::Into),
            [_] if called => Some(Self::Method),
            _ => None,
        }
    }
}

fn find_possible_moves(body: TokenStream, name: &str, found: &mut Vec<(PossibleMove, Ident)>) {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Ident(word) if word == name => {
                let borrowed = at.checked_sub(1).is_some_and(|before| is_punct(&trees[before], '&'));
                let kind = PossibleMove::of(&trees[at + 1..]).filter(|_| !borrowed);
                found.extend(kind.map(|kind| (kind, word.clone())));
            }
            TokenTree::Group(group) => find_possible_moves(group.stream(), name, found),
            _ => {}
        }
    }
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
    shape::rewrite_future(body, &mut |block, _| {
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

/// Finds each `self`, or field of it, whose value is used as it stands: `finish(self)`,
/// `let this = self;`, `Page { url: self.url }`. Such a use moves it, unless it is `Copy` or a
/// reference. `self` is called `name`.
fn values(body: TokenStream, name: &str) -> Vec<Vec<TokenTree>> {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    // An item in the body has a `self` of its own.
    let end = trees.iter().position(|tree| ["fn", "impl", "trait"].iter().any(|item| is_word(tree, item)));
    let trees = &trees[..end.unwrap_or(trees.len())];
    let mut found = Vec::new();
    for (at, tree) in trees.iter().enumerate() {
        let before = |count: usize| at.checked_sub(count).and_then(|at| trees.get(at));
        let named = matches!(before(1), Some(TokenTree::Ident(to)) if to != "_" && to != "in");
        if is_punct(tree, '=') && named && !is_borrowing(&trees[..at]) {
            let value = trees[at + 1..].split(|tree| is_punct(tree, ';')).next();
            found.extend(value.filter(|value| is_place_in(value, name)).map(<[_]>::to_vec));
        }
        let TokenTree::Group(group) = tree else { continue };
        // What a macro does with a value is unknown.
        if before(1).is_some_and(|tree| is_punct(tree, '!')) {
            continue;
        }
        let called = matches!(before(1), Some(TokenTree::Ident(function)) if !is_keyword(function));
        let content: Vec<TokenTree> = group.stream().into_iter().collect();
        let values = content.split(|tree| is_punct(tree, ',')).filter_map(|value| match value {
            [TokenTree::Ident(_), colon, value @ ..] if is_braces(tree) && is_punct(colon, ':') => Some(value),
            value => Some(value).filter(|_| called && is_parentheses(tree)),
        });
        found.extend(values.filter(|value| is_place_in(value, name)).map(<[_]>::to_vec));
        found.extend(self::values(group.stream(), name));
    }
    found
}

/// Returns whether the assignment that `before` ends in does not move: `let ref name = …`,
/// `let _: String = …`.
fn is_borrowing(before: &[TokenTree]) -> bool {
    let start = before.iter().rposition(|tree| is_punct(tree, ';') || is_braces(tree)).map_or(0, |end| end + 1);
    let statement = &before[start..];
    let ignored = statement.windows(2).any(|pair| is_word(&pair[0], "let") && is_word(&pair[1], "_"));
    ignored || statement.iter().any(|tree| is_word(tree, "ref"))
}

/// Returns whether `value` is `name`, or a field of it.
fn is_place_in(value: &[TokenTree], name: &str) -> bool {
    let Some((first, fields)) = value.split_first() else { return false };
    is_word(first, name)
        && fields.chunks(2).all(|field| match field {
            [dot, TokenTree::Ident(field)] => is_punct(dot, '.') && field != "await",
            [dot, TokenTree::Literal(_)] => is_punct(dot, '.'),
            _ => false,
        })
}

/// Returns whether parentheses after `word` are not those of a call.
fn is_keyword(word: &Ident) -> bool {
    ["match", "if", "while", "in", "return", "let", "await", "mut", "const", "else"]
        .iter()
        .any(|keyword| word == keyword)
}
