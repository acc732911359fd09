//! The arguments of a function with `retry`: each run of the body gets arguments of its own.

use std::mem;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{FnArg, Generics, Pat, PatIdent, PatType, Receiver, ReceiverKind, Signature, Token, Type, WherePredicate};

use crate::parse::Function;
use crate::shape::Shape;
use crate::site::{Place, Site};
use crate::tokens::mentions;
use crate::usage::{Variable, is_only_borrowed, is_only_reborrowed, is_used};

/// Returns the head of the function, with arguments from which each run can take its own.
pub(crate) fn head(site: &Site<'_>, body: &Group) -> TokenStream {
    let (sig, _) = rewrite(site, &body.stream());
    let qualifiers = &site.function.qualifiers;
    quote!(#qualifiers #sig)
}

/// Returns the statements with which a run takes its arguments. `body` is what comes after them.
pub(crate) fn statements(site: &Site<'_>, body: &TokenStream) -> TokenStream {
    rewrite(site, body).1
}

/// Returns the statements that stand before all runs: what `from` names in the patterns of
/// arguments, and variables that the runs can borrow by `&mut`.
pub(crate) fn before(site: &Site<'_>, body: &Group) -> TokenStream {
    let body = body.stream();
    let moved = site.async_trait.as_ref().map(|async_trait| &async_trait.arguments);
    let body = quote!(#moved #body);
    let receiver = site.async_trait.as_ref().filter(|_| owns_self(site.function)).and_then(|_| site.receiver());
    let receiver = receiver.map(|name| quote_spanned!(Span::mixed_site()=> let mut #name = #name;));
    let statements = site.function.sig.inputs.iter().enumerate().filter_map(|(index, input)| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) if site.function.shape == Shape::Future => move_into_future(argument, &body),
        FnArg::Typed(argument) => bind_for_provider(site, argument, index),
    });
    receiver.into_iter().chain(statements).collect()
}

/// Returns whether a run borrows an argument that it does not take.
pub(crate) fn lends_any(site: &Site<'_>, body: &TokenStream) -> bool {
    site.function.sig.inputs.iter().any(|input| match input {
        FnArg::Receiver(_) => false,
        FnArg::Typed(argument) => is_lent(site, argument, body),
    })
}

/// Returns whether both runs can have the same argument, which need not be `Clone`.
fn is_lent(site: &Site<'_>, argument: &PatType, body: &TokenStream) -> bool {
    let Pat::Ident(pat) = &*argument.pat else { return false };
    let name = pat.ident.to_string();
    match mutable_reference(&argument.ty) {
        _ if !is_name(&argument.pat) || pat.mutability.is_some() => false,
        // A future that only reads through the reference would borrow by `&`, and require `Sync`.
        Some(true) => site.function.shape == Shape::Sync && is_only_reborrowed(&name, body),
        Some(false) => false,
        None => {
            let is_fn = is_fn(&argument.ty, &site.function.sig.generics);
            is_only_borrowed(Variable { name: &name, is_fn }, body)
        }
    }
}

/// Returns whether a call of a value of this type only borrows it: `impl Fn(u64)`,
/// `Box<dyn Fn(u64)>`, or an `F` with such a bound.
fn is_fn(ty: &Type, generics: &Generics) -> bool {
    let names_fn = |tokens: TokenStream| mentions(tokens.clone(), "Fn") || mentions(tokens, "AsyncFn");
    let name = ty.to_token_stream().to_string();
    let Some(parameter) = generics.type_params().find(|parameter| parameter.ident == name) else {
        return names_fn(ty.to_token_stream());
    };
    let is_bound = |predicate: &WherePredicate| match predicate {
        WherePredicate::Type(predicate) if predicate.bounded_ty.to_token_stream().to_string() == name => {
            names_fn(predicate.bounds.to_token_stream())
        }
        _ => false,
    };
    let predicates = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    names_fn(parameter.bounds.to_token_stream()) || predicates.into_iter().any(is_bound)
}

/// Returns whether the receiver is no reference.
pub(crate) fn owns_self(function: &Function) -> bool {
    function.receiver().is_some_and(|receiver| mutable_receiver(receiver).is_none())
}

// Output:
//     let mut name = name;
//
// The future holds the argument, but not mutably. See `rebind` for why that must be.
fn move_into_future(argument: &PatType, body: &TokenStream) -> Option<TokenStream> {
    let Pat::Ident(PatIdent { ident: name, .. }) = &*argument.pat else { return None };
    if mutable_reference(&argument.ty).is_some() || !mentions(body.clone(), &name.to_string()) {
        return None;
    }
    let cfg = argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    Some(quote_spanned!(Span::mixed_site()=> #(#cfg)* let mut #name = #name;))
}

// Input:
//     State(state): State<AppState>, with `from = state.session`
//
// Output:
//     #[allow(unused_variables, unused_mut)]
//     let State(state) = ::jwt_refresh::__private::BodyRun::argument(&mut argument1);
fn bind_for_provider(site: &Site<'_>, argument: &PatType, index: usize) -> Option<TokenStream> {
    let from = site.options.from.as_ref()?.to_token_stream();
    if is_name(&argument.pat) || !shares_a_name(argument.pat.to_token_stream(), &from) {
        return None;
    }
    let name = format_ident!("argument{index}", span = place(argument).start);
    let value = match mutable_reference(&argument.ty) {
        Some(false) => quote!(#name),
        Some(true) => quote_spanned!(Span::mixed_site()=> &*#name),
        None => again(site, place(argument), &name),
    };
    let cfg = argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let pattern = &argument.pat;
    Some(quote_spanned! {Span::mixed_site()=>
        #(#cfg)*
        #[allow(unused_variables, unused_mut)]
        let #pattern = #value;
    })
}

fn is_name(pattern: &Pat) -> bool {
    matches!(pattern, Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none())
}

fn shares_a_name(pattern: TokenStream, from: &TokenStream) -> bool {
    pattern.into_iter().any(|tree| match tree {
        TokenTree::Ident(name) => mentions(from.clone(), &name.to_string()),
        TokenTree::Group(group) => shares_a_name(group.stream(), from),
        _ => false,
    })
}

fn rewrite(site: &Site<'_>, body: &TokenStream) -> (Signature, TokenStream) {
    let mut sig = site.function.sig.clone();
    let statements = sig.inputs.iter_mut().enumerate().filter_map(|(index, input)| match input {
        FnArg::Receiver(receiver) => capture(site, receiver, body),
        FnArg::Typed(argument) if site.function.shape == Shape::Future => rebind_in_future(site, argument, body),
        FnArg::Typed(argument) => rebind(site, argument, index, body),
    });
    let statements = statements.collect();
    (sig, statements)
}

/// Makes the run borrow all of `self` mutably, where the method may do so.
///
/// Otherwise the run borrows only what the body uses, and as the body uses it. A shared borrow of
/// a `Cell` makes the future of the run lose `Send`, even in a struct that is held exclusively.
fn capture(site: &Site<'_>, receiver: &mut Receiver, body: &TokenStream) -> Option<TokenStream> {
    let name = site.receiver()?;
    // A future that does not mention `self` does not have it.
    if site.function.shape == Shape::Future && !mentions(body.clone(), &name.to_string()) {
        return None;
    }
    match (mutable_receiver(receiver), site.function.shape) {
        (Some(false), _) | (_, Shape::Sync) => None,
        (Some(true), _) => Some(quote_spanned!(Span::mixed_site()=> let _ = &mut *#name;)),
        (None, Shape::Async | Shape::Future) => {
            receiver.mutability.get_or_insert(Token![mut](Span::mixed_site().located_at(receiver.self_token.span)));
            Some(quote_spanned!(Span::mixed_site()=> let _ = &mut #name;))
        }
    }
}

/// Returns whether `self` is a mutable reference, or `None` if it is no reference.
pub(crate) fn mutable_receiver(receiver: &Receiver) -> Option<bool> {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => Some(mutability.is_some()),
        ReceiverKind::Typed(_, ty) => mutable_reference(ty),
        _ => None,
    }
}

/// Returns whether `ty` is a mutable reference, or `None` if it is no reference.
fn mutable_reference(ty: &Type) -> Option<bool> {
    match ty {
        Type::Reference(ty) => Some(ty.mutability.is_some()),
        Type::Group(ty) => mutable_reference(&ty.elem),
        Type::Paren(ty) => mutable_reference(&ty.elem),
        _ => None,
    }
}

// Input:
//     mut name: String, (a, mut b): (A, B), out: &mut Vec<u8>
//
// Output:
//     mut name: String, mut argument1: (A, B), out: &mut Vec<u8>
//     let mut name = ::jwt_refresh::__private::BodyRun::argument(&mut name);
//     let (a, mut b) = ::jwt_refresh::__private::BodyRun::argument(&mut argument1);
//     let out = &mut *out;
//
// Input, of which the body uses nothing but `&all`:
//     all: Vec<u8>, unused: String
//
// Output:
//     mut all: Vec<u8>, unused: String
//     let _ = &mut all;
//
// `again` only reads the argument. It gets `&mut` all the same, because with a shared borrow the
// run would require `Sync` where the function did not.
fn rebind(site: &Site<'_>, argument: &mut PatType, index: usize, body: &TokenStream) -> Option<TokenStream> {
    let name = match &*argument.pat {
        Pat::Wild(_) => return None,
        Pat::Ident(pat) if !is_used(&pat.ident.to_string(), body) => return None,
        Pat::Ident(pat) if is_name(&argument.pat) => Some(pat.clone()),
        _ => None,
    };
    if is_lent(site, argument, body) {
        return lend(site, argument);
    }
    let reference = mutable_reference(&argument.ty);
    if reference == Some(false) && name.as_ref().is_some_and(|name| name.mutability.is_none()) {
        return None;
    }
    let place = place(argument);
    let name = name.map_or_else(|| format_ident!("argument{index}", span = place.start), |name| name.ident);
    let value = match reference {
        Some(false) => quote!(#name),
        Some(true) => quote_spanned!(Span::mixed_site()=> &mut *#name),
        None => again(site, place, &name),
    };
    let attrs = argument.attrs.clone();
    let unused = allow_unused(site, &argument.pat);
    argument.attrs.retain(|attr| attr.path().is_ident("cfg"));
    let shadowing = (reference == Some(true)).then(|| quote!(#[allow(clippy::shadow_same)]));
    let mutability = reference.is_none().then(|| Token![mut](Span::mixed_site().located_at(name.span())));
    let pat = PatIdent { attrs: Vec::new(), by_ref: None, mutability, ident: name, subpat: None };
    let pattern = mem::replace(&mut *argument.pat, Pat::Ident(pat));
    Some(quote_spanned!(Span::mixed_site()=> #unused #shadowing #(#attrs)* let #pattern = #value;))
}

/// Makes the run borrow the argument. It does so mutably for the reason that `rebind` has.
fn lend(site: &Site<'_>, argument: &mut PatType) -> Option<TokenStream> {
    let Pat::Ident(PatIdent { ident: name, mutability, .. }) = &mut *argument.pat else { return None };
    if site.function.shape == Shape::Sync {
        return None;
    }
    if site.function.shape == Shape::Async {
        *mutability = Some(Token![mut](Span::mixed_site().located_at(name.span())));
    }
    let cfg = argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    Some(quote_spanned!(Span::mixed_site()=> #(#cfg)* let _ = &mut #name;))
}

/// Returns the place of an argument, without its attributes.
fn place(argument: &PatType) -> Place {
    Place { start: Place::of(&argument.pat).start, end: Place::of(&argument.ty).end }
}

/// Returns `::jwt_refresh::__private::BodyRun::argument(&mut NAME)`, reported at `place`.
pub(crate) fn again(site: &Site<'_>, place: Place, name: &Ident) -> TokenStream {
    site.call_at(place, &["BodyRun", "argument"], quote_spanned!(name.span()=> &mut #name))
}

// `#[async_trait]` or the user has moved the arguments into the future. Only those that the body
// mentions are certain to be there.
//
// Output:
//     let name = ::jwt_refresh::__private::BodyRun::argument(&mut name);
fn rebind_in_future(site: &Site<'_>, argument: &PatType, body: &TokenStream) -> Option<TokenStream> {
    let Pat::Ident(PatIdent { ident: name, .. }) = &*argument.pat else { return None };
    if !mentions(body.clone(), &name.to_string()) {
        return None;
    }
    let value = match mutable_reference(&argument.ty) {
        Some(false) => return None,
        Some(true) => quote_spanned!(Span::mixed_site()=> &mut *#name),
        None if is_lent(site, argument, body) => return lend(site, &mut argument.clone()),
        None => again(site, place(argument), name),
    };
    let unused = allow_unused(site, &argument.pat);
    let cfg = argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    Some(quote_spanned!(Span::mixed_site()=> #unused #(#cfg)* let #name = #value;))
}

/// Allows an argument that `from` uses to be unused in the body.
fn allow_unused(site: &Site<'_>, pattern: &Pat) -> Option<TokenStream> {
    let from = site.options.from.as_ref()?.to_token_stream();
    shares_a_name(pattern.to_token_stream(), &from).then(|| quote!(#[allow(unused_variables)]))
}
