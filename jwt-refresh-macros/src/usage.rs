//! What a body that may run twice does to an argument, as far as its tokens tell.

use proc_macro2::{TokenStream, TokenTree};

use crate::tokens::{is_punct, is_word, macro_called, mentions};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// The body does not name it.
    Unused,
    /// The body only borrows it, so both runs can have the same.
    Borrowed,
    /// The body may move it, so each run needs its own.
    Any,
}

impl Usage {
    pub(crate) fn of(name: &str, body: &TokenStream) -> Self {
        // In a string, `r#type` is `{type}`.
        if ![name, name.trim_start_matches("r#")].iter().any(|name| mentions(body.clone(), name)) {
            return Self::Unused;
        }
        // A `move` block takes what it borrows.
        if !mentions(body.clone(), "move") && only_borrows(body.clone(), name) {
            return Self::Borrowed;
        }
        Self::Any
    }
}

/// Returns whether `name` is written only as in `&name` or `&name.field`, and in what is formatted.
fn only_borrows(body: TokenStream, name: &str) -> bool {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    trees.iter().enumerate().all(|(at, tree)| match tree {
        TokenTree::Ident(word) => word != name || is_borrow(&trees, at),
        TokenTree::Group(group) => match macro_called(&trees, at) {
            Some(called) if formats_all(&called) => only_formats(group.stream(), name),
            Some(_) => !mentions(group.stream(), name),
            None => only_borrows(group.stream(), name),
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
fn only_formats(arguments: TokenStream, name: &str) -> bool {
    let trees: Vec<TokenTree> = arguments.into_iter().collect();
    trees.split(|tree| is_punct(tree, ',')).all(|argument| match argument {
        [word] if is_word(word, name) => true,
        [_, equals, word] if is_punct(equals, '=') && is_word(word, name) => true,
        [TokenTree::Literal(_)] => true,
        argument => only_borrows(argument.iter().cloned().collect(), name),
    })
}
