//! Finds a body that names the token where the option `token` is missing.

use proc_macro2::{Ident, TokenStream, TokenTree};

use crate::tokens::{is_parentheses, is_punct, is_word};

/// Returns the first use of `name` in a body, if `name` is certain to be a variable that the body
/// does not bind.
///
/// Only `&name` and `name.` are certain. If `name` occurs in any other way, it may be bound by a
/// pattern, or be an item, and the answer is `None`.
pub(crate) fn unbound_variable(body: TokenStream, name: &str) -> Option<Ident> {
    let mut uses = Vec::new();
    find(body, name, &mut uses).then(|| uses.into_iter().next()).flatten()
}

/// Adds each use of `name`. Returns whether all occurrences are uses.
fn find(tokens: TokenStream, name: &str, uses: &mut Vec<Ident>) -> bool {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    trees.iter().enumerate().all(|(at, tree)| {
        let before = |count: usize| at.checked_sub(count).and_then(|at| trees.get(at));
        let next = trees.get(at + 1);
        match tree {
            TokenTree::Ident(word) if word == name => {
                // A field or a method of something else, or a segment of a path.
                if before(1).is_some_and(|tree| is_punct(tree, '.')) {
                    return true;
                }
                uses.push(word.clone());
                let borrowed = before(1).is_some_and(|tree| is_punct(tree, '&')) && !starts_pattern(before(2));
                let item = next.is_some_and(|tree| is_parentheses(tree) || is_punct(tree, ':'));
                let called = next.is_some_and(|tree| is_punct(tree, '.'));
                called || borrowed && !item && !is_pattern(next)
            }
            TokenTree::Group(group) => {
                let mut inner = Vec::new();
                let all = find(group.stream(), name, &mut inner);
                let bound = !inner.is_empty() && is_pattern(next);
                uses.extend(inner);
                all && !bound
            }
            _ => true,
        }
    })
}

/// Returns whether a pattern can come after `tree`: `|&name|`, `for &name in`, `let &name`.
fn starts_pattern(tree: Option<&TokenTree>) -> bool {
    tree.is_some_and(|tree| is_punct(tree, '|') || is_word(tree, "let") || is_word(tree, "for"))
}

/// Returns whether what stands before `next` is a pattern: `Some(&name) =>`, `(&name, _) = …`.
fn is_pattern(next: Option<&TokenTree>) -> bool {
    next.is_some_and(|next| is_punct(next, '=') || is_punct(next, '|') || is_word(next, "if") || is_word(next, "in"))
}
