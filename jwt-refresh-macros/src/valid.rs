//! Which functions are guarded, and with which options. All mistakes are collected before any is
//! reported.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Error;

use crate::args::{Binding, Level, Options};
use crate::forgotten::unbound_variable;
use crate::parse::{Block, BlockKind, Function, Helper, Item, Member};
use crate::rerun;
use crate::shape::{self, Shape};
use crate::tokens::{is_braces, is_punct, mentions};

/// Decides for each function of `item` whether to guard it. Adds to `errors` what prevents that.
pub(crate) fn item(item: &mut Item, args: TokenStream, errors: &mut Vec<Error>) {
    match item {
        Item::Function(function) => {
            if is_guarded(function) {
                return errors.push(Error::new(Span::call_site(), GUARDED_ALREADY));
            }
            let options = Options::parse(args, Level::Function, errors);
            errors.extend(function.helpers.iter().map(repeated));
            guard(function, options, errors);
        }
        Item::Block(block) => {
            let options = Options::parse(args, Level::Block, errors);
            errors.extend(block.helpers.iter().map(repeated));
            members(block, &options, errors);
            if block.guards().any(|options| options.from.is_none()) {
                errors.extend(no_field(block).map(|advice| Error::new(Span::call_site(), advice)));
            }
        }
        Item::HalfTyped(_) => {}
    }
}

fn members(block: &mut Block, defaults: &Options, errors: &mut Vec<Error>) {
    let mut nothing_guarded = true;
    for member in &mut block.members {
        let function = match member {
            Member::Function(function) => function,
            Member::HalfTyped(_) => {
                nothing_guarded = false;
                continue;
            }
            Member::Other(_) => continue,
        };
        if is_guarded(function) {
            return errors.push(Error::new(Span::call_site(), GUARDED_ALREADY));
        }
        // The compiler reports a method of an `impl` that has no body.
        if block.kind == BlockKind::Impl && function.body().is_none() && function.helpers.is_empty() {
            nothing_guarded = false;
            continue;
        }
        let Some(options) = member_options(function, defaults, errors) else {
            continue;
        };
        nothing_guarded = false;
        guard(function, options, errors);
    }
    if nothing_guarded && errors.is_empty() {
        errors.push(Error::new(Span::call_site(), NOTHING_TO_GUARD));
    }
}

const NO_FIELD_IN_TRAIT: &str = "a trait has no field `self.session`: write `from = self.session()`, with a method of the trait \
                                 that returns the session";

const NO_FIELD_BUT_METHOD: &str = "`session` is a method here, not a field: write `from = self.session()`";

/// Returns what to write instead of `self.session`, if the block shows that there is no such field.
fn no_field(block: &Block) -> Option<&'static str> {
    if block.kind == BlockKind::Trait {
        return Some(NO_FIELD_IN_TRAIT);
    }
    // A method that returns the field names it.
    let is_method = |function: &Function| {
        let arguments = function.sig.inputs.len();
        function.sig.ident == "session" && function.receiver().is_some() && arguments == 1
    };
    let method = block.functions().find(|function| is_method(function))?;
    (!mentions(method.body()?.stream(), "session")).then_some(NO_FIELD_BUT_METHOD)
}

const GUARDED_ALREADY: &str = "`#[refresh_token]` has guarded this already, maybe under another name: write one attribute, with \
                               commas between its options; on methods of an annotated block, use the name that is on the \
                               block";

const NOTHING_TO_GUARD: &str = "`#[refresh_token]` finds nothing to guard here: it guards each `async fn …(&self, …)` \
                                that has a body and no `#[refresh_token(skip)]`; a method that is not async takes an \
                                attribute of its own, and needs the feature `blocking`";

/// Returns the options of one function in an annotated block, or `None` if it stays as it is.
///
/// A function with `#[refresh_token(skip)]` stays as it is. So does one without an attribute of its
/// own that is not async, has no receiver or has no body.
fn member_options(function: &Function, defaults: &Options, errors: &mut Vec<Error>) -> Option<Options> {
    let Some((helper, more)) = function.helpers.split_first() else {
        let body = function.body().filter(|_| function.receiver().is_some())?;
        if function.shape == Shape::Sync {
            let token = defaults.token_name().map_or_else(|| "token".to_owned(), Ident::to_string);
            let name = named_token(function, &token)?;
            errors.push(Error::new(name.span(), NOT_ASYNC));
            return Some(Options { token: Some(Binding { name, shared: true }), ..defaults.clone() });
        }
        if function.shape == Shape::Future && shape::is_unclear(&function.sig, body) {
            errors.push(Error::new_spanned(&function.sig.output, UNCLEAR));
        }
        return Some(defaults.clone());
    };
    errors.extend(more.iter().map(repeated));
    if helper.name == "cfg_attr" {
        errors.push(conditional(helper));
        return None;
    }
    let options = Options::parse(arguments(helper, errors), Level::Member, errors);
    let Some(skip) = &options.skip else {
        return Some(options.or(defaults));
    };
    if options.has_more_than_skip() {
        let advice = "`skip` leaves the method alone: remove it, or the other options";
        errors.push(Error::new(skip.span(), advice));
    }
    None
}

fn repeated(helper: &Helper) -> Error {
    if helper.name == "cfg_attr" {
        return conditional(helper);
    }
    let advice = "`#[refresh_token]` is given twice: write one attribute, with commas between its options";
    Error::new(helper.name.span(), advice)
}

/// The compiler decides a `cfg_attr` below this attribute only after this macro has run.
fn conditional(helper: &Helper) -> Error {
    let advice = "`cfg_attr` cannot switch what another `#[refresh_token]` has to see: write the method twice, each with \
                  its `#[cfg(…)]` and its `#[refresh_token(…)]`";
    Error::new(helper.name.span(), advice)
}

/// Returns the tokens in the parentheses of the attribute, if there are any.
fn arguments(helper: &Helper, errors: &mut Vec<Error>) -> TokenStream {
    match helper.rest.clone().into_iter().next() {
        None => TokenStream::new(),
        Some(TokenTree::Group(parentheses)) => parentheses.stream(),
        Some(_) => {
            let advice = "options go in parentheses: write `#[refresh_token(<options>)]`";
            errors.push(Error::new_spanned(&helper.rest, advice));
            TokenStream::new()
        }
    }
}

const NO_FUTURE: &str = "the future that this function returns is not to be found: let the body end in `async move { … }` or \
                         `Box::pin(async move { … })`, or write `async fn`";

const STATIC_FUTURE: &str = "this future is `'static`, so it cannot borrow `self.session`: write `let session = \
                             self.session.clone();` before its `async` block, and `from = session` in the attribute";

const NOT_ASYNC: &str = "this method is not async, so the attribute of the block leaves it alone, and there is no token: put \
                         `#[refresh_token(token)]` on the method too, and turn on the feature `blocking`; or make it `async`";

const UNCLEAR: &str = "the attribute of the block cannot tell whether this returns a future: put `#[refresh_token]` on the \
                       method, to guard the `async` block that it ends in, or `#[refresh_token(skip)]`";

/// Returns whether a function has the guard of another `#[refresh_token]` already.
fn is_guarded(function: &Function) -> bool {
    let Some(body) = function.body() else { return false };
    let mut guarded = starts_with_guard(body);
    if function.shape == Shape::Future {
        shape::rewrite_future(body.stream(), &mut |block, _| {
            guarded |= starts_with_guard(block);
            block.clone()
        });
    }
    guarded
}

/// Returns whether the first statement of `block` is a guard.
fn starts_with_guard(block: &Group) -> bool {
    let mut ended = false;
    let first = block.stream().into_iter().take_while(|tree| {
        let in_first = !ended;
        ended |= is_braces(tree) || is_punct(tree, ';');
        in_first
    });
    mentions(first.collect(), "__private")
}

/// Returns what prevents a guard in the future that a function returns.
fn future(function: &Function, options: &Options, body: &Group) -> Option<Error> {
    if shape::rewrite_future(body.stream(), &mut |block, _| block.clone()).is_none() {
        return Some(Error::new_spanned(&function.sig.output, NO_FUTURE));
    }
    let from = options.from.to_token_stream();
    if shape::is_static_borrow(&function.sig) && (from.is_empty() || mentions(from, "self")) {
        return Some(Error::new_spanned(&function.sig.output, STATIC_FUTURE));
    }
    let early = shape::early_return(body.stream())?;
    let advice = "this would return a future that is not guarded: move it into the `async` block at the end, or write `async fn`";
    Some(Error::new(early.span(), advice))
}

/// Adds an error if the body names the token and the option is missing. Then it counts as given.
fn with_forgotten_token(function: &Function, mut options: Options, errors: &mut Vec<Error>) -> Options {
    if options.token.is_none()
        && let Some(used) = named_token(function, "token")
    {
        errors.push(Error::new(used.span(), FORGOTTEN_TOKEN));
        options.token = Some(Binding { name: used, shared: true });
    }
    options
}

const FORGOTTEN_TOKEN: &str =
    "there is no `token` here without the option of that name: write `#[refresh_token(token)]`";

/// Returns where the body names a variable `token` that neither it nor an argument binds.
fn named_token(function: &Function, token: &str) -> Option<Ident> {
    let bound = function.sig.inputs.iter().any(|input| mentions(input.to_token_stream(), token));
    function.body().filter(|_| !bound).and_then(|body| unbound_variable(body.stream(), token))
}

/// Marks `function` to be guarded, and adds to `errors` what it lacks for that.
fn guard(function: &mut Function, options: Options, errors: &mut Vec<Error>) {
    let sig = &function.sig;
    if let Some(constness) = sig.constness {
        errors.push(Error::new(constness.span, "a `const fn` cannot wait for a token: write `async fn` instead"));
    } else if let (Shape::Future, Some(body)) = (function.shape, function.body()) {
        errors.extend(future(function, &options, body));
    }
    if function.body().is_none() {
        let advice =
            "there is no body to guard: put the attribute on the method of the `impl`, or write a default body here";
        errors.push(Error::new(sig.ident.span(), advice));
    }
    if options.retry.is_some() {
        errors.extend(rerun::mistake(function));
    }
    if function.receiver().is_none() && options.from.is_none() {
        let advice = "there is no `self` to take `self.session` from: add a receiver such as `&self`, or say where the \
                      session is with `#[refresh_token(from = <expression>)]`";
        errors.push(Error::new(sig.paren_token.span.join(), advice));
    }
    let options = with_forgotten_token(function, options, errors);
    if let Some(hidden) = function.arguments().find(|argument| Some(*argument) == options.token_name()) {
        let advice = format!(
            "the token is called `{hidden}` too, and would hide this argument: rename the argument, or the token with \
             `token = <name>`"
        );
        errors.push(Error::new(hidden.span(), advice));
    }
    function.guard = Some(options);
}
