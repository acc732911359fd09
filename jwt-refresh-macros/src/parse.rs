//! The item that the attribute stands on.
//!
//! Only the signatures of functions are parsed. Attributes, bodies and the other members of a block
//! pass through as tokens. That is faster, keeps every span of the user's code, and lets bodies use
//! syntax that syn does not know yet.

use std::iter::Peekable;
use std::mem;
use std::rc::Rc;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Error, FnArg, Pat, Receiver, Signature, Token, Visibility};

use crate::args::Options;
use crate::shape::Shape;
use crate::tokens::{is_braces, is_parentheses, is_punct, is_word, mentions};

pub(crate) enum Item {
    Function(Box<Function>),
    Block(Block),
    /// What the compiler cannot read either, and has reported.
    HalfTyped(TokenStream),
}

/// A function, with or without a receiver, free or a member of a block.
pub(crate) struct Function {
    /// The attributes, without `#[refresh_token]`.
    pub(crate) attrs: TokenStream,
    /// The `#[refresh_token]` among the attributes: options of a function in an annotated block, a
    /// mistake elsewhere.
    pub(crate) helpers: Vec<Helper>,
    /// Everything between the attributes and the body.
    pub(crate) head: TokenStream,
    /// The first part of `head`: `pub(crate) default` and the like.
    pub(crate) qualifiers: TokenStream,
    /// The rest of `head`: the signature.
    pub(crate) sig: Signature,
    pub(crate) shape: Shape,
    /// The type parameters of the block that the function is in.
    pub(crate) outer_generics: Rc<[Ident]>,
    /// The braces of the body, or a semicolon.
    pub(crate) tail: Option<TokenTree>,
    /// The options of the guard, once `valid` has decided to guard the function.
    pub(crate) guard: Option<Options>,
}

impl Function {
    /// Returns the body with its braces, if there is one.
    pub(crate) fn body(&self) -> Option<&Group> {
        body(self.tail.as_ref())
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.sig.receiver()
    }

    /// Returns whether `name` is a type parameter, of the function or of the block that it is in.
    pub(crate) fn is_type_parameter(&self, name: &Ident) -> bool {
        self.sig.generics.type_params().any(|parameter| parameter.ident == *name) || self.outer_generics.contains(name)
    }

    /// Returns whether each argument has a plain name, or `_`.
    pub(crate) fn has_plain_arguments(&self) -> bool {
        self.sig.inputs.iter().all(|input| match input {
            FnArg::Typed(argument) => matches!(&*argument.pat, Pat::Ident(_) | Pat::Wild(_)),
            FnArg::Receiver(_) => true,
        })
    }

    /// Returns the names of the arguments that are plain names, not other patterns.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Ident> {
        self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(argument) => match &*argument.pat {
                Pat::Ident(pat) => Some(&pat.ident),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        })
    }
}

fn body(tail: Option<&TokenTree>) -> Option<&Group> {
    match tail {
        Some(TokenTree::Group(body)) => Some(body),
        _ => None,
    }
}

impl Block {
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Function> {
        self.members.iter().filter_map(|member| match member {
            Member::Function(function) => Some(&**function),
            Member::HalfTyped(_) | Member::Other(_) => None,
        })
    }

    /// Returns the options of the functions that are to be guarded.
    pub(crate) fn guards(&self) -> impl Iterator<Item = &Options> {
        self.functions().filter_map(|function| function.guard.as_ref())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Impl,
    Trait,
}

/// An `impl` block or a trait definition.
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    /// The attributes, without `#[refresh_token]`.
    pub(crate) attrs: TokenStream,
    /// The `#[refresh_token]` among the attributes, which are a mistake.
    pub(crate) helpers: Vec<Helper>,
    /// Everything between the attributes and the braces.
    pub(crate) head: TokenStream,
    pub(crate) members: Vec<Member>,
    /// The braces and everything in them, as it was.
    pub(crate) body: Group,
}

pub(crate) enum Member {
    Function(Box<Function>),
    /// What the compiler cannot read either, and has reported.
    HalfTyped(TokenStream),
    Other(TokenStream),
}

/// `#[refresh_token(…)]`, whatever path its name has, or `#[cfg_attr(…, refresh_token(…))]`.
pub(crate) struct Helper {
    /// The word `refresh_token`, the name that it was imported under, or the word `cfg_attr`.
    pub(crate) name: Ident,
    /// The tokens after that word.
    pub(crate) rest: TokenStream,
}

/// The names of this attribute: `refresh_token`, and the one that it was imported under.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) imported: Option<&'a str>,
}

impl Names<'_> {
    fn contain(self, name: &Ident) -> bool {
        name == "refresh_token" || self.imported.is_some_and(|imported| name == imported)
    }

    fn are_mentioned(self, tokens: &TokenStream) -> bool {
        mentions(tokens.clone(), "refresh_token")
            || self.imported.is_some_and(|imported| mentions(tokens.clone(), imported))
    }
}

/// Returns the last name in the path of an attribute: `guard` for `#[jwt::guard(token)]`.
pub(crate) fn attribute_name(attribute: &str) -> Option<&str> {
    let path = attribute.trim_start_matches(['#', '!', '[', ' ']);
    let end = path.find(|c: char| c != '_' && c != ':' && !c.is_alphanumeric()).unwrap_or(path.len());
    path[..end].rsplit(':').next().filter(|name| !name.is_empty())
}

/// Reads the annotated item. If the attribute cannot go on it, returns `None` and adds the reason
/// to `errors`.
pub(crate) fn item(input: TokenStream, names: Names<'_>, errors: &mut Vec<Error>) -> Option<Item> {
    let trees = flatten(input);
    let keyword = keyword(&trees);
    let parsed = match keyword.map(Ident::to_string).as_deref() {
        Some("fn") => match function(trees, names) {
            Ok(function) => Ok(Item::Function(Box::new(function))),
            Err((unread, error)) if is_incomplete(&error) || is_cut_off(unread.clone()) => {
                return Some(Item::HalfTyped(unread));
            }
            Err((_, error)) => Err(error),
        },
        Some("impl" | "trait") => block(trees, names, errors).map(Item::Block),
        _ => Err(misplaced(keyword, &trees)),
    };
    parsed.map_err(|error| errors.push(error)).ok()
}

fn misplaced(keyword: Option<&Ident>, trees: &[TokenTree]) -> Error {
    let advice = "`#[refresh_token]` goes on an async method, on a free `async fn` with `from = <expression>`, or on a \
                  whole `impl` block or trait";
    let Some(keyword) = keyword else {
        return Error::new_spanned(trees.iter().cloned().collect::<TokenStream>(), advice);
    };
    match keyword.to_string().as_str() {
        found @ ("struct" | "enum" | "union") => Error::new(
            keyword.span(),
            format!("{advice}: move it from this `{found}` to the `impl` block with its methods"),
        ),
        found @ ("const" | "static" | "type" | "mod" | "use" | "extern") => {
            Error::new(keyword.span(), format!("{advice}: a `{found}` has no method to guard"))
        }
        _ => Error::new(keyword.span(), advice),
    }
}

fn block(mut trees: Vec<TokenTree>, names: Names<'_>, errors: &mut Vec<Error>) -> syn::Result<Block> {
    let Some(TokenTree::Group(body)) = trees.pop_if(|last| is_braces(last)) else {
        let item: TokenStream = trees.into_iter().collect();
        return Err(Error::new_spanned(item, "`#[refresh_token]` finds no `{ … }` here"));
    };
    let (attrs, helpers, start) = attributes(&trees, names);
    let mut members = members(flatten(body.stream()), names, errors);
    let generics: Rc<[Ident]> = type_parameters(&trees[start..]).into();
    for member in &mut members {
        if let Member::Function(function) = member {
            function.outer_generics = Rc::clone(&generics);
        }
    }
    let kind =
        if keyword(&trees[start..]).is_some_and(|word| word == "trait") { BlockKind::Trait } else { BlockKind::Impl };
    Ok(Block { kind, attrs, helpers, head: trees.drain(start..).collect(), members, body })
}

/// Returns the type parameters of a block: `T` of `impl<'a, T: Bound, const N: usize> …`.
fn type_parameters(head: &[TokenTree]) -> Vec<Ident> {
    let mut depth = 0_usize;
    let mut parameters = Vec::new();
    for pair in head.windows(2) {
        match &pair[0] {
            // Where an `impl` has no brackets of its own, those of its type begin later.
            TokenTree::Ident(word) if depth == 0 && word == "impl" && !is_punct(&pair[1], '<') => break,
            tree if is_punct(tree, '<') => depth += 1,
            tree if is_punct(tree, '>') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && is_punct(&pair[0], '>') {
            break;
        }
        match &pair[1] {
            TokenTree::Ident(name) if depth == 1 && (is_punct(&pair[0], '<') || is_punct(&pair[0], ',')) => {
                parameters.push(name.clone());
            }
            _ => {}
        }
    }
    parameters
}

/// Divides the content of a block into its members.
fn members(trees: Vec<TokenTree>, names: Names<'_>, errors: &mut Vec<Error>) -> Vec<Member> {
    let mut members = Vec::new();
    let mut current = Vec::new();
    let mut trees = trees.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let last = ends_member(&current, &tree, &mut trees);
        current.push(tree);
        if last {
            members.push(member(mem::take(&mut current), names, errors));
        }
    }
    // The compiler has reported a member that is cut off, and would report it again.
    if !current.is_empty() {
        members.push(Member::HalfTyped(TokenStream::new()));
    }
    members
}

/// Returns whether `tree`, which follows `member`, is the last tree of that member.
///
/// A semicolon ends every member. Braces end functions and macro calls, but not if they belong to a
/// type as in `-> Matrix<{ N }, 2>`. In `const N: usize = { 1 } + 1;` they end nothing.
fn ends_member(member: &[TokenTree], tree: &TokenTree, next: &mut Peekable<impl Iterator<Item = TokenTree>>) -> bool {
    if is_punct(tree, ';') {
        return true;
    }
    if !is_braces(tree) || next.peek().is_some_and(|next| is_punct(next, ',') || is_punct(next, '>')) {
        return false;
    }
    keyword(member).is_none_or(|keyword| keyword != "const" && keyword != "type")
}

fn member(trees: Vec<TokenTree>, names: Names<'_>, errors: &mut Vec<Error>) -> Member {
    match keyword(&trees) {
        Some(keyword) if keyword == "fn" => {}
        Some(keyword) if keyword == "const" || keyword == "type" => return Member::Other(trees.into_iter().collect()),
        _ if trees.iter().any(|tree| is_punct(tree, '!')) => return Member::Other(trees.into_iter().collect()),
        _ => return Member::HalfTyped(trees.into_iter().collect()),
    }
    match function(trees, names) {
        Ok(function) => Member::Function(Box::new(function)),
        Err((unread, _)) if is_cut_off(unread.clone()) => Member::HalfTyped(TokenStream::new()),
        Err((unread, error)) if is_incomplete(&error) => Member::HalfTyped(unread),
        Err((unread, error)) => {
            errors.push(error);
            Member::Other(unread)
        }
    }
}

/// Reads a function. An error returns its tokens too, without the `#[refresh_token]` attributes.
fn function(mut trees: Vec<TokenTree>, names: Names<'_>) -> Result<Function, (TokenStream, Error)> {
    let (attrs, helpers, start) = attributes(&trees, names);
    let tail = trees.pop();
    let head: TokenStream = trees.drain(start..).collect();
    match signature.parse2(head.clone()) {
        Ok((qualifiers, sig)) => {
            let shape = Shape::of(&sig, body(tail.as_ref()));
            let outer_generics = Rc::from([]);
            Ok(Function { attrs, helpers, head, qualifiers, sig, shape, outer_generics, tail, guard: None })
        }
        Err(error) => Err((attrs.into_iter().chain(head).chain(tail).collect(), error)),
    }
}

/// Returns whether a function has no end to its return type or its generics, as in
/// `fn get() -> { … }`, or lacks an argument, its name, or the arrow before its return type.
fn is_cut_off(function: TokenStream) -> bool {
    let trees: Vec<TokenTree> = function.into_iter().collect();
    let angles = |angle| trees.iter().filter(|tree| is_punct(tree, angle)).count();
    let arrows = trees.windows(2).filter(|pair| is_punct(&pair[0], '-') && is_punct(&pair[1], '>')).count();
    let ends_in_arrow = trees.len().checked_sub(3).is_some_and(|at| is_punct(&trees[at], '-'));
    let arguments = trees.iter().find(|tree| is_parentheses(tree));
    ends_in_arrow
        || angles('<') + arrows != angles('>')
        || arguments.is_some_and(lacks_argument)
        || trees.windows(2).any(|pair| lacks_name(pair) || lacks_arrow(pair))
}

fn lacks_name(pair: &[TokenTree]) -> bool {
    is_word(&pair[0], "fn") && is_parentheses(&pair[1])
}

/// Returns whether a type follows the list of arguments: no keyword begins with a capital letter.
fn lacks_arrow(pair: &[TokenTree]) -> bool {
    let is_type = |word: &Ident| word.to_string().starts_with(char::is_uppercase);
    is_parentheses(&pair[0]) && matches!(&pair[1], TokenTree::Ident(word) if is_type(word))
}

/// Returns whether a list of arguments has a comma with nothing before it: `(&self, , id: u64)`.
fn lacks_argument(list: &TokenTree) -> bool {
    let TokenTree::Group(list) = list else { return false };
    let trees: Vec<TokenTree> = list.stream().into_iter().collect();
    let is_comma = |tree: &TokenTree| is_punct(tree, ',');
    trees.first().is_some_and(is_comma) || trees.windows(2).any(|pair| pair.iter().all(is_comma))
}

/// Returns whether the part of a signature is missing that no syntax, however new, does without: a
/// name, its parentheses, the name or the type of an argument.
fn is_incomplete(error: &Error) -> bool {
    let error = error.to_string();
    let missing =
        ["unexpected end of input", "expected identifier", "expected parentheses", "expected `:`", "expected `,`"];
    missing.iter().any(|missing| error.starts_with(missing))
}

/// Separates `pub(crate) default` from
/// `async unsafe fn name<'a>(&'a self) -> Type where Self: Sized`.
fn signature(input: ParseStream<'_>) -> syn::Result<(TokenStream, Signature)> {
    let visibility: Visibility = input.parse()?;
    let default: Option<Token![default]> = input.parse()?;
    Ok((quote!(#visibility #default), input.parse()?))
}

/// Separates the attributes that `trees` starts with: returns the other attributes, the
/// `#[refresh_token]` attributes, and the index at which all of them end.
fn attributes(trees: &[TokenTree], names: Names<'_>) -> (TokenStream, Vec<Helper>, usize) {
    let mut others = Vec::new();
    let mut helpers = Vec::new();
    let mut end = 0;
    while let Some(length) = attribute_length(&trees[end..]) {
        let attribute = &trees[end..end + length];
        match attribute.last().and_then(|brackets| helper(brackets, names)) {
            Some(helper) => helpers.push(helper),
            None => others.extend_from_slice(attribute),
        }
        end += length;
    }
    (others.into_iter().collect(), helpers, end)
}

/// Returns the number of trees in the `#[…]` or `#![…]` that `trees` starts with, if it does.
fn attribute_length(trees: &[TokenTree]) -> Option<usize> {
    match trees {
        [hash, TokenTree::Group(_), ..] if is_punct(hash, '#') => Some(2),
        [hash, bang, TokenTree::Group(_), ..] if is_punct(hash, '#') && is_punct(bang, '!') => Some(3),
        _ => None,
    }
}

/// Reads the brackets of an attribute. Returns `None` if it is neither `#[refresh_token]`, with any
/// path such as `#[jwt_refresh::refresh_token]`, nor a `#[cfg_attr]` that mentions it.
fn helper(brackets: &TokenTree, names: Names<'_>) -> Option<Helper> {
    let TokenTree::Group(brackets) = brackets else {
        return None;
    };
    let mut trees = ungroup(brackets.stream()).into_iter().peekable();
    let mut last = None;
    while let Some(tree) = trees.next_if(|tree| matches!(tree, TokenTree::Ident(_)) || is_punct(tree, ':')) {
        if let TokenTree::Ident(segment) = tree {
            last = Some(segment);
        }
    }
    let name = last?;
    let rest: TokenStream = trees.collect();
    let is_helper = names.contain(&name) || name == "cfg_attr" && names.are_mentioned(&rest);
    is_helper.then_some(Helper { name, rest })
}

/// Opens the invisible group in which `macro_rules!` passes a `$meta`.
fn ungroup(stream: TokenStream) -> TokenStream {
    match stream.clone().into_iter().next() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None => ungroup(group.stream()),
        _ => stream,
    }
}

/// Returns the word that tells the kind of the item: the first word that is no qualifier of a
/// function, an `impl` or a trait.
fn keyword(trees: &[TokenTree]) -> Option<&Ident> {
    trees.iter().enumerate().find_map(|(index, tree)| match tree {
        TokenTree::Ident(word) if !is_qualifier(word, trees.get(index + 1)) => Some(word),
        _ => None,
    })
}

fn is_qualifier(word: &Ident, next: Option<&TokenTree>) -> bool {
    match (word.to_string().as_str(), next) {
        ("pub" | "default" | "async" | "unsafe" | "auto", _) | ("extern", Some(TokenTree::Literal(_))) => true,
        ("const" | "extern", Some(TokenTree::Ident(next))) => {
            next == "fn" || next == "async" || next == "unsafe" || next == "extern"
        }
        _ => false,
    }
}

/// Opens the invisible groups in which `macro_rules!` passes an `$item` or a `$body`. The groups of
/// types and the like stay.
fn flatten(stream: TokenStream) -> Vec<TokenTree> {
    let mut trees = Vec::new();
    for tree in stream {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                let inner = flatten(group.stream());
                match inner.last() {
                    Some(last) if is_braces(last) || is_punct(last, ';') => trees.extend(inner),
                    _ => trees.push(TokenTree::Group(group)),
                }
            }
            tree => trees.push(tree),
        }
    }
    trees
}
