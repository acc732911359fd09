//! Helpers on token trees that several modules need.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

/// `{ content }`, whose braces have the span `span`.
pub(crate) fn braces(content: TokenStream, span: Span) -> Group {
    let mut braces = Group::new(Delimiter::Brace, content);
    braces.set_span(span);
    braces
}

/// Returns the tokens, which the compiler then reports at `place`.
pub(crate) fn located_at(place: Span, tokens: TokenStream) -> TokenStream {
    let locate = |tree: TokenTree| {
        let mut tree = match tree {
            TokenTree::Group(group) => {
                let content = located_at(place, group.stream());
                let mut located = Group::new(group.delimiter(), content);
                located.set_span(group.span());
                TokenTree::Group(located)
            }
            tree => tree,
        };
        tree.set_span(tree.span().located_at(place));
        tree
    };
    tokens.into_iter().map(locate).collect()
}

/// Returns whether `name` occurs in the tokens, as an identifier or as a variable in a literal that
/// may be a format string: `{name}`, `{:name$}`.
pub(crate) fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Literal(literal) => formats(&literal.to_string(), name),
        TokenTree::Punct(_) => false,
    })
}

fn formats(literal: &str, name: &str) -> bool {
    literal.match_indices(name).any(|(at, _)| {
        let [before, after] = [&literal[..at], &literal[at + name.len()..]];
        let ends = !after.starts_with(|c: char| c == '_' || c.is_alphanumeric());
        ends && before.ends_with('{') || after.starts_with('$')
    })
}

pub(crate) fn is_braces(tree: &TokenTree) -> bool {
    is_group(tree, Delimiter::Brace)
}

pub(crate) fn is_brackets(tree: &TokenTree) -> bool {
    is_group(tree, Delimiter::Bracket)
}

pub(crate) fn is_parentheses(tree: &TokenTree) -> bool {
    is_group(tree, Delimiter::Parenthesis)
}

/// Returns the name of the macro whose arguments are the group at `at`.
pub(crate) fn macro_called(trees: &[TokenTree], at: usize) -> Option<String> {
    let [TokenTree::Ident(name), mark] = trees.get(at.checked_sub(2)?..at)? else { return None };
    is_punct(mark, '!').then(|| name.to_string())
}

fn is_group(tree: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == delimiter)
}

pub(crate) fn is_punct(tree: &TokenTree, punct: char) -> bool {
    matches!(tree, TokenTree::Punct(found) if found.as_char() == punct)
}

pub(crate) fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(found) if found == word)
}
