//! How a function returns its result, and thus where in the function the guard goes.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::{
    CapturedParam, GenericArgument, PathArguments, PathSegment, ReceiverKind, ReturnType, Signature, Token, Type,
    TypeInfer, TypeParamBound,
};

use crate::tokens::{is_braces, is_parentheses, is_punct, is_word, mentions};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `async fn`.
    Async,
    /// A plain `fn` that returns a future: an `impl Future`, a boxed future, which is what
    /// `#[async_trait]` makes of an `async fn`, or an alias of one.
    Future,
    /// A plain `fn` that returns its result when it is done.
    Sync,
}

impl Shape {
    /// Returns how a function with this signature and this body returns its result.
    pub(crate) fn of(sig: &Signature, body: Option<&Group>) -> Self {
        match &sig.output {
            _ if sig.asyncness.is_some() => Self::Async,
            ReturnType::Type(_, output) if awaited(output).is_some() => Self::Future,
            ReturnType::Type(_, output) => Self::of_alias(output, body),
            ReturnType::Default => Self::Sync,
        }
    }

    /// An alias does not tell whether it is one of a future. Then the end of the body tells.
    fn of_alias(output: &Type, body: Option<&Group>) -> Self {
        let Some(alias) = last_name(output) else { return Self::Sync };
        if alias.ends_with("Future") {
            return Self::Future;
        }
        if alias.ends_with("Result") {
            return Self::Sync;
        }
        match body.and_then(|body| rewrite_future(body.stream(), &mut |block, _| block.clone())) {
            Some((_, Ending::Future | Ending::Call)) => Self::Future,
            Some((_, Ending::TakenOver)) | None => Self::Sync,
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
    let mut arguments = arguments.args.iter().rev();
    match segment.ident.to_string().as_str() {
        "Future" => arguments.find_map(|argument| match argument {
            GenericArgument::AssocType(output) if output.ident == "Output" => Some(&output.ty),
            _ => None,
        }),
        "BoxFuture" | "LocalBoxFuture" => arguments.find_map(type_argument),
        "Pin" | "Box" => arguments.find_map(type_argument).and_then(awaited),
        _ => None,
    }
}

fn type_argument(argument: &GenericArgument) -> Option<&Type> {
    match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// Returns the last name in the path of a type: `Reply` for `api::Reply<'_, T>`.
fn last_name(output: &Type) -> Option<String> {
    match output {
        Type::Path(output) => output.path.segments.last().map(|last| last.ident.to_string()),
        Type::Group(output) => last_name(&output.elem),
        Type::Paren(output) => last_name(&output.elem),
        _ => None,
    }
}

/// Returns `output` as it can be written in a body: `Result<_, Error>` for
/// `Result<impl Stream, Error>`.
pub(crate) fn inferred(mut output: Type) -> Type {
    infer(&mut output);
    output
}

/// Returns `Result<_, Error>` for `Result<T, Error>`, and `Result<_>` for an alias.
pub(crate) fn with_any_value(output: Type) -> Type {
    let mut output = inferred(output);
    if let Type::Path(path) = &mut output
        && let Some(last) = path.path.segments.last_mut()
        && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
        && let Some(GenericArgument::Type(value)) =
            arguments.args.iter_mut().find(|argument| matches!(argument, GenericArgument::Type(_)))
    {
        *value = any_type(Span::mixed_site());
    }
    output
}

fn any_type(span: Span) -> Type {
    Type::Infer(TypeInfer { attrs: Vec::new(), underscore_token: Token![_](span) })
}

fn infer(ty: &mut Type) {
    match ty {
        Type::ImplTrait(opaque) => {
            *ty = any_type(opaque.impl_token.span);
        }
        Type::Path(ty) => ty.path.segments.iter_mut().for_each(|segment| infer_arguments(&mut segment.arguments)),
        Type::Reference(ty) => infer(&mut ty.elem),
        Type::Group(ty) => infer(&mut ty.elem),
        Type::Paren(ty) => infer(&mut ty.elem),
        Type::Array(ty) => infer(&mut ty.elem),
        Type::Slice(ty) => infer(&mut ty.elem),
        Type::Tuple(ty) => ty.elems.iter_mut().for_each(infer),
        _ => {}
    }
}

fn infer_arguments(arguments: &mut PathArguments) {
    let PathArguments::AngleBracketed(arguments) = arguments else { return };
    for argument in &mut arguments.args {
        if let GenericArgument::Type(ty) = argument {
            infer(ty);
        }
    }
}

/// Returns whether the function borrows `self`, and its future is `'static`, as a `dyn Future` is
/// without a lifetime.
pub(crate) fn is_static_borrow(sig: &Signature) -> bool {
    let borrowed = match sig.receiver().map(|receiver| &receiver.kind) {
        Some(ReceiverKind::Reference(_, lifetime, _)) => lifetime.as_ref().is_none_or(|name| name.ident != "static"),
        _ => false,
    };
    let ReturnType::Type(_, output) = &sig.output else { return false };
    borrowed && (is_static(output) || is_associated(output))
}

/// Returns whether `output` is a type like `Self::Future`, which has no lifetime of the receiver's.
fn is_associated(output: &Type) -> bool {
    let Type::Path(output) = output else { return false };
    let of_self = output.qself.is_some() || output.path.segments.first().is_some_and(|first| first.ident == "Self");
    of_self
        && output.path.segments.len() > 1
        && output.path.segments.last().is_some_and(|last| last.arguments.is_none())
}

fn is_static(output: &Type) -> bool {
    let of_bound = |bound: &TypeParamBound| match bound {
        TypeParamBound::Lifetime(lifetime) => Some(lifetime.ident == "static"),
        TypeParamBound::PreciseCapture(captured) => {
            Some(!captured.params.iter().any(|param| matches!(param, CapturedParam::Lifetime(_))))
        }
        _ => None,
    };
    match output {
        Type::ImplTrait(output) => output.bounds.iter().find_map(of_bound) == Some(true),
        Type::TraitObject(output) => output.bounds.iter().find_map(of_bound).unwrap_or(true),
        Type::Path(output) => output.path.segments.last().is_some_and(|last| match &last.arguments {
            PathArguments::AngleBracketed(arguments) if last.ident == "Pin" || last.ident == "Box" => {
                arguments.args.iter().find_map(type_argument).is_some_and(is_static)
            }
            PathArguments::AngleBracketed(arguments) => arguments
                .args
                .iter()
                .any(|argument| matches!(argument, GenericArgument::Lifetime(lifetime) if lifetime.ident == "static")),
            _ => false,
        }),
        Type::Group(output) => is_static(&output.elem),
        Type::Paren(output) => is_static(&output.elem),
        _ => false,
    }
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

/// What a body ends in that the guard can go into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An `async` block, a box of one, or a method call on one.
    Future,
    /// A call of any other function with one of these as its only argument.
    Call,
    /// Such a call of `spawn`, `block_on` and the like, which does not return that future.
    TakenOver,
}

/// What of the result of a block is certain to be in the result of the future that it becomes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
    /// All of it: `Box::pin(async { … })`, `async { … }.boxed()`.
    All,
    /// Its type depends on a function of the user's: `wrap(async { … })`.
    Unknown,
    /// The type of its error: `async { … }.map_ok(Product::from)`.
    Error,
    /// Nothing: `async { … }.map_err(Error::from)`.
    Nothing,
}

impl Kept {
    /// Tells what `async { … }.name(…)` keeps.
    fn by_method(name: &str) -> Self {
        match name {
            "boxed"
            | "boxed_local"
            | "fuse"
            | "in_current_span"
            | "inspect"
            | "inspect_err"
            | "inspect_ok"
            | "instrument"
            | "with_current_subscriber"
            | "with_subscriber" => Self::All,
            "and_then" | "map" | "map_ok" | "ok_into" | "then" => Self::Error,
            _ => Self::Nothing,
        }
    }

    /// Tells what all of the method calls in `trees` keep.
    fn by_methods(trees: &[TokenTree]) -> Self {
        let methods = trees.windows(2).filter_map(|pair| match pair {
            [dot, TokenTree::Ident(name)] if is_punct(dot, '.') => Some(Self::by_method(&name.to_string())),
            _ => None,
        });
        methods.max().unwrap_or(Self::All)
    }

    /// Returns what is certain of `block`, which may say itself what type its result has:
    /// `Ok::<Raw, Error>(raw)`.
    pub(crate) fn in_block(self, block: &Group) -> Self {
        let trees: Vec<TokenTree> = block.stream().into_iter().collect();
        let end = trees.iter().rposition(|tree| is_punct(tree, ';')).map_or(0, |end| end + 1);
        let typed = trees[end..]
            .windows(2)
            .any(|pair| (is_word(&pair[0], "Ok") || is_word(&pair[0], "Err")) && is_punct(&pair[1], ':'));
        if typed && self != Self::All { Self::Nothing } else { self }
    }
}

/// Returns whether only the author can tell that a [`Shape::Future`] returns a future: its type is
/// an alias, and its body ends in the call of a function with an `async` block.
pub(crate) fn is_unclear(sig: &Signature, body: &Group) -> bool {
    let ReturnType::Type(_, output) = &sig.output else { return false };
    let known = awaited(output).is_some() || last_name(output).is_none_or(|name| name.ends_with("Future"));
    let ending = || rewrite_future(body.stream(), &mut |block, _| block.clone());
    !known && ending().is_some_and(|(_, ending)| ending == Ending::Call)
}

/// Writes the guarded block in the place of the block of a future, of whose result `Kept` is kept.
pub(crate) type WriteBlock<'a> = &'a mut dyn FnMut(&Group, Kept) -> Group;

/// Has `write` rewrite the block of the future that the body of a [`Shape::Future`] ends in.
///
/// The body ends in an `async` block, in a method call on one as in `async move { … }.boxed()`, or
/// in a call whose only argument is one as in `Box::pin(async move { … })`. Returns `None` if it
/// ends in something else: an `async` block elsewhere, such as in a closure, may run too late.
pub(crate) fn rewrite_future(body: TokenStream, write: WriteBlock<'_>) -> Option<(TokenStream, Ending)> {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    let statement = trees.iter().rposition(|tree| is_punct(tree, ';')).map_or(0, |end| end + 1);
    // Braces end a statement too, if a new expression starts after them.
    let starts = (statement..trees.len()).filter(|&start| start == statement || is_braces(&trees[start - 1]));
    let tail = starts.into_iter().find_map(|start| Tail::at(&trees, start, trees.len()))?;
    tail.rewrite(&trees, write)
}

/// Does the same in the parentheses of a call, if they have one argument.
fn rewrite_argument(arguments: TokenStream, write: WriteBlock<'_>) -> Option<(TokenStream, Ending)> {
    let trees: Vec<TokenTree> = arguments.into_iter().collect();
    let comma = trees.last().is_some_and(|last| is_punct(last, ','));
    Tail::at(&trees, 0, trees.len() - usize::from(comma))?.rewrite(&trees, write)
}

/// Where in an expression the block of the future is.
struct Tail {
    /// The index of the group that is the block, or that it is in.
    group: usize,
    kind: TailKind,
    /// What is kept outside the group.
    kept: Kept,
}

enum TailKind {
    /// The group is the block.
    Block,
    /// The group holds an expression that ends in the block: `(async { … })`, or
    /// `{ let …; async { … } }`.
    Nested,
    /// The group is the argument of `Box::pin` or the like.
    Boxed,
    /// The group is the argument of some other call.
    Argument(Ending),
}

impl TailKind {
    /// Tells what the function does to its argument, by the names in its path.
    fn of_call(path: &[String]) -> Option<Self> {
        let (name, owner) = path.split_last()?;
        if owner.last().is_some_and(|owner| owner == "Box" || owner == "Pin") {
            return Some(Self::Boxed);
        }
        let taken_over = name.starts_with("spawn") || name.starts_with("block_on");
        Some(Self::Argument(if taken_over { Ending::TakenOver } else { Ending::Call }))
    }
}

impl TailKind {
    /// Tells what a call keeps of the result.
    const fn kept(&self) -> Kept {
        match self {
            Self::Block | Self::Nested | Self::Boxed => Kept::All,
            Self::Argument(_) => Kept::Unknown,
        }
    }
}

impl Tail {
    /// Reads the expression from `start` to `end`.
    fn at(trees: &[TokenTree], start: usize, end: usize) -> Option<Self> {
        let mut at = start;
        while is_punct(trees.get(at)?, '#') {
            at += 2;
        }
        let tail =
            Self::of_async(trees, at).or_else(|| Self::of_group(trees, at)).or_else(|| Self::of_call(trees, at))?;
        let after = trees.get(tail.group + 1..end).unwrap_or_default();
        is_postfix(after).then(|| Self { kept: tail.kept.max(Kept::by_methods(after)), ..tail })
    }

    fn of_async(trees: &[TokenTree], at: usize) -> Option<Self> {
        if !is_word(trees.get(at)?, "async") {
            return None;
        }
        let group = if is_word(trees.get(at + 1)?, "move") { at + 2 } else { at + 1 };
        is_braces(trees.get(group)?).then_some(Self { group, kind: TailKind::Block, kept: Kept::All })
    }

    fn of_group(trees: &[TokenTree], group: usize) -> Option<Self> {
        match trees.get(group)? {
            TokenTree::Group(found) if found.delimiter() != Delimiter::Bracket => {
                Some(Self { group, kind: TailKind::Nested, kept: Kept::All })
            }
            _ => None,
        }
    }

    /// Reads a path and the parentheses after it: `Box::pin(…)`, `wrap::<T>(…)`.
    fn of_call(trees: &[TokenTree], start: usize) -> Option<Self> {
        let mut depth = 0_usize;
        let mut names = Vec::new();
        for (at, tree) in trees.iter().enumerate().skip(start) {
            match tree {
                tree if is_punct(tree, '<') => depth += 1,
                tree if is_punct(tree, '>') => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                tree if is_parentheses(tree) => {
                    let kind = TailKind::of_call(&names)?;
                    return Some(Self { group: at, kept: kind.kept(), kind });
                }
                TokenTree::Ident(name) if at == start || is_punct(&trees[at - 1], ':') => names.push(name.to_string()),
                tree if is_punct(tree, ':') => {}
                _ => return None,
            }
        }
        None
    }

    fn rewrite(self, trees: &[TokenTree], write: WriteBlock<'_>) -> Option<(TokenStream, Ending)> {
        let found = Found::at(trees, self.group)?;
        let stream = found.group.stream();
        let outside = self.kept;
        let write: WriteBlock<'_> = &mut |block, kept| write(block, kept.max(outside));
        let (content, ending) = match self.kind {
            TailKind::Block => {
                let group = write(&found.group, Kept::All);
                return Some((found.with_group(group), Ending::Future));
            }
            TailKind::Nested => rewrite_future(stream, write)?,
            TailKind::Boxed => rewrite_argument(stream, write)?,
            TailKind::Argument(ending) => (rewrite_argument(stream, write)?.0, ending),
        };
        let mut group = Group::new(found.group.delimiter(), content);
        group.set_span(found.group.span());
        Some((found.with_group(group), ending))
    }
}

/// Returns whether all of `trees` are method calls, or end in `as Type`.
fn is_postfix(mut trees: &[TokenTree]) -> bool {
    while let [dot, TokenTree::Ident(_), after @ ..] = trees {
        if !is_punct(dot, '.') {
            break;
        }
        let Some(end) = after.iter().position(is_parentheses) else { return false };
        if end > 0 && !is_punct(&after[0], ':') {
            return false;
        }
        trees = &after[end + 1..];
    }
    trees.first().is_none_or(|tree| is_word(tree, "as"))
}

/// Finds the first `return` outside the block of the future, which would return another future.
pub(crate) fn early_return(body: TokenStream) -> Option<Ident> {
    find(outside_block(body)?, "return")
}

/// Returns whether it is certain that no variable is bound outside the block of the future: there
/// is no statement before it, and no pattern around it.
pub(crate) fn binds_nothing_outside(body: TokenStream) -> bool {
    let Some(outside) = outside_block(body) else { return false };
    !has_statement(outside.clone()) && !["let", "match"].iter().any(|word| mentions(outside.clone(), word))
}

fn has_statement(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Group(group) => has_statement(group.stream()),
        tree => is_punct(&tree, ';'),
    })
}

/// Returns the body with nothing in the block of the future.
fn outside_block(body: TokenStream) -> Option<TokenStream> {
    let (emptied, _) = rewrite_future(body, &mut |block, _| Group::new(block.delimiter(), TokenStream::new()))?;
    Some(emptied)
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
