//! How a function returns its result, and thus where in the function the guard goes.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Signature, Type, TypeParamBound};

use crate::tokens::{is_braces, is_parentheses, is_punct, is_word};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `async fn`.
    Async,
    /// A plain `fn` that returns a future: an `impl Future`, or a boxed future, which is what
    /// `#[async_trait]` makes of an `async fn`.
    Future,
    /// A plain `fn` that returns its result when it is done.
    Sync,
}

impl Shape {
    pub(crate) fn of(sig: &Signature) -> Self {
        match &sig.output {
            _ if sig.asyncness.is_some() => Self::Async,
            ReturnType::Type(_, output) if awaited(output).is_some() => Self::Future,
            _ => Self::Sync,
        }
    }
}

/// Returns the `T` of `impl Future<Output = T>`, `Pin<Box<dyn Future<Output = T>>>` and
/// `BoxFuture<'_, T>`.
pub(crate) fn awaited(output: &Type) -> Option<&Type> {
    match output {
        Type::ImplTrait(output) => output.bounds.iter().find_map(awaited_of_bound),
        Type::TraitObject(output) => output.bounds.iter().find_map(awaited_of_bound),
        Type::Path(output) => output.path.segments.last().and_then(awaited_of_segment),
        Type::Group(output) => awaited(&output.elem),
        Type::Paren(output) => awaited(&output.elem),
        _ => None,
    }
}

fn awaited_of_bound(bound: &TypeParamBound) -> Option<&Type> {
    match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().and_then(awaited_of_segment),
        _ => None,
    }
}

fn awaited_of_segment(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    let last = arguments.args.iter().rev().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        GenericArgument::AssocType(output) => Some(&output.ty),
        _ => None,
    })?;
    if segment.ident == "Pin" || segment.ident == "Box" {
        return awaited(last);
    }
    segment.ident.to_string().ends_with("Future").then_some(last)
}

/// A group that was found, and the tokens before and after it in the same group.
pub(crate) struct Found {
    before: TokenStream,
    pub(crate) group: Group,
    after: TokenStream,
}

impl Found {
    fn at(trees: &[TokenTree], index: usize) -> Option<Self> {
        let TokenTree::Group(group) = trees.get(index)? else { return None };
        let collect = |trees: &[TokenTree]| trees.iter().cloned().collect();
        Some(Self { before: collect(&trees[..index]), group: group.clone(), after: collect(&trees[index + 1..]) })
    }

    /// Returns all the tokens, with `group` in the place of the group that was found.
    pub(crate) fn with_group(self, group: Group) -> TokenStream {
        let group = TokenTree::Group(group);
        self.before.into_iter().chain([group]).chain(self.after).collect()
    }
}

/// Has `write` rewrite the block of the future that the body of a [`Shape::Future`] ends in.
///
/// The body ends in `async move { … }`, `Box::pin(async move { … })`, `async move { … }.boxed()` or
/// the like. Returns `None` if it ends in something else.
pub(crate) fn rewrite_future(body: TokenStream, write: &mut dyn FnMut(&Group) -> Group) -> Option<TokenStream> {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    if let Some(found) = async_block(&trees) {
        let group = write(&found.group);
        return Some(found.with_group(group));
    }
    let call = last_statement(&trees) + trees[last_statement(&trees)..].iter().rposition(is_parentheses)?;
    let found = Found::at(&trees, call)?;
    let mut arguments = Group::new(Delimiter::Parenthesis, rewrite_future(found.group.stream(), write)?);
    arguments.set_span(found.group.span());
    Some(found.with_group(arguments))
}

/// Finds the last `async { … }` or `async move { … }` of the last statement.
fn async_block(trees: &[TokenTree]) -> Option<Found> {
    let statement = last_statement(trees);
    let keyword = statement + trees[statement..].iter().rposition(|tree| is_word(tree, "async"))?;
    let block =
        if trees.get(keyword + 1).is_some_and(|next| is_word(next, "move")) { keyword + 2 } else { keyword + 1 };
    Found::at(trees, block).filter(|found| found.group.delimiter() == Delimiter::Brace)
}

/// Returns the index at which the last statement starts.
fn last_statement(trees: &[TokenTree]) -> usize {
    trees.iter().rposition(|tree| is_punct(tree, ';')).map_or(0, |end| end + 1)
}

/// Finds the first `return` outside the block of the future, which would return another future.
pub(crate) fn early_return(body: TokenStream) -> Option<Ident> {
    let emptied = rewrite_future(body, &mut |block| Group::new(block.delimiter(), TokenStream::new()))?;
    find(emptied, "return")
}

fn find(tokens: TokenStream, word: &str) -> Option<Ident> {
    tokens.into_iter().find_map(|tree| match tree {
        TokenTree::Ident(found) => (found == word).then_some(found),
        TokenTree::Group(group) => find(group.stream(), word),
        _ => None,
    })
}

/// What `#[async_trait]` has made of a method:
/// `let __self = self; let mut id = id; let __ret: Output = { BODY }; __ret`.
pub(crate) struct AsyncTrait {
    /// The name that it gave to the receiver, if there is one.
    pub(crate) receiver: Option<Ident>,
    /// The statements that move the arguments.
    pub(crate) arguments: TokenStream,
}

/// Recognizes what `#[async_trait]` wrote in the block of a future, and finds the method's own body
/// in it. The tokens around that body leave out the statements that move the arguments.
pub(crate) fn async_trait(block: &Group) -> Option<(AsyncTrait, Found)> {
    let trees: Vec<TokenTree> = block.stream().into_iter().collect();
    let end = trees.windows(2).position(|pair| is_word(&pair[0], "let") && is_word(&pair[1], "__ret"))?;
    let is_body =
        |triple: &[TokenTree]| is_punct(&triple[0], '=') && is_braces(&triple[1]) && is_punct(&triple[2], ';');
    let body = end + 1 + trees[end..].windows(3).position(is_body)?;
    let receiver = trees[..end].iter().position(|tree| is_word(tree, "__self"));
    // After `__self = self;`, or, in a function without receiver, after the first braces, those of
    // `if let …::Some(__ret) = … { return __ret; }`.
    let start = receiver.map(|at| at + 4).or_else(|| trees.iter().position(is_braces).map(|at| at + 1))?;
    let receiver = receiver.and_then(|at| match &trees[at] {
        TokenTree::Ident(receiver) => Some(receiver.clone()),
        _ => None,
    });
    let arguments = trees.get(start..end)?.iter().cloned().collect();
    let mut found = Found::at(&trees, body)?;
    found.before = trees[..start].iter().chain(&trees[end..body]).cloned().collect();
    Some((AsyncTrait { receiver, arguments }, found))
}
