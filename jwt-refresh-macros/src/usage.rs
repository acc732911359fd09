//! What a body that may run twice does to an argument, as far as its tokens tell.

use proc_macro2::{TokenStream, TokenTree};

use crate::tokens::{is_parentheses, is_punct, is_word, macro_called, mentions};

/// A variable, as far as its declaration tells.
#[derive(Clone, Copy)]
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a str,
    /// A call of it only borrows it: it is an `Fn` or an `AsyncFn`.
    pub(crate) is_fn: bool,
}

/// Returns whether the body names the variable.
pub(crate) fn is_used(name: &str, body: &TokenStream) -> bool {
    // In a string, `r#type` is `{type}`.
    [name, name.trim_start_matches("r#")].iter().any(|name| mentions(body.clone(), name))
}

/// Returns whether the body names the variable and only borrows it, so that both runs can have the
/// same. If not, the body may move it, and each run needs its own.
pub(crate) fn is_only_borrowed(variable: Variable<'_>, body: &TokenStream) -> bool {
    // A `move` block takes what it borrows.
    is_used(variable.name, body) && !mentions(body.clone(), "move") && only_borrows(body.clone(), variable)
}

/// Returns whether the variable is written only as in `&name` or `&name.field`, in what is
/// formatted, and in calls that borrow it.
fn only_borrows(body: TokenStream, variable: Variable<'_>) -> bool {
    let Variable { name, is_fn } = variable;
    let trees: Vec<TokenTree> = body.into_iter().collect();
    trees.iter().enumerate().all(|(at, tree)| match tree {
        TokenTree::Ident(word) => {
            let called = is_fn && trees.get(at + 1).is_some_and(is_parentheses);
            word != name || called || is_borrow(&trees, at)
        }
        TokenTree::Group(group) => match macro_called(&trees, at) {
            Some(called) if formats_all(&called) => only_formats(group.stream(), variable),
            Some(_) => !mentions(group.stream(), name),
            None => only_borrows(group.stream(), variable),
        },
        _ => true,
    })
}

/// Returns whether the name at `at` is all of an expression, after a `&` and perhaps with fields.
fn is_borrow(trees: &[TokenTree], at: usize) -> bool {
    let before = |count: usize| at.checked_sub(count).and_then(|at| trees.get(at));
    if !before(1).is_some_and(|tree| is_punct(tree, '&')) {
        return false;
    }
    // Otherwise it may be `set & name`, which moves both.
    if !before(2).is_none_or(|tree| is_punct(tree, ',') || is_punct(tree, '=')) {
        return false;
    }
    let mut after = &trees[at + 1..];
    while let [dot, TokenTree::Ident(_) | TokenTree::Literal(_), rest @ ..] = after {
        if !is_punct(dot, '.') || is_word(&after[1], "await") {
            return false;
        }
        after = rest;
    }
    after.first().is_none_or(|tree| is_punct(tree, ',') || is_punct(tree, ';'))
}

/// Returns whether the macro borrows all its arguments.
fn formats_all(called: &str) -> bool {
    ["format", "format_args", "print", "println", "eprint", "eprintln", "panic"].contains(&called)
}

/// Returns whether `name` is in string literals, or is all of an argument: `name`, `to = name`.
fn only_formats(arguments: TokenStream, variable: Variable<'_>) -> bool {
    let name = variable.name;
    let trees: Vec<TokenTree> = arguments.into_iter().collect();
    trees.split(|tree| is_punct(tree, ',')).all(|argument| match argument {
        [word] if is_word(word, name) => true,
        [_, equals, word] if is_punct(equals, '=') && is_word(word, name) => true,
        [TokenTree::Literal(_)] => true,
        argument => only_borrows(argument.iter().cloned().collect(), variable),
    })
}
