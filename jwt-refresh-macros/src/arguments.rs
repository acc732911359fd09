//! The arguments of a function with `retry`: each run of the body gets arguments of its own.

use std::mem;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{FnArg, Pat, PatIdent, PatType, Receiver, ReceiverKind, Signature, Token, Type};

use crate::shape::Shape;
use crate::site::{Place, Site};
use crate::tokens::mentions;

/// Returns the head of the function, with arguments from which each run can take its own.
pub(crate) fn head(site: &Site<'_>) -> TokenStream {
    let (sig, _) = rewrite(site, &TokenStream::new());
    let qualifiers = &site.function.qualifiers;
    quote!(#qualifiers #sig)
}

/// Returns the statements with which a run takes its arguments. `body` is what comes after them.
pub(crate) fn statements(site: &Site<'_>, body: &TokenStream) -> TokenStream {
    rewrite(site, body).1
}

fn rewrite(site: &Site<'_>, body: &TokenStream) -> (Signature, TokenStream) {
    let mut sig = site.function.sig.clone();
    let statements = sig.inputs.iter_mut().enumerate().filter_map(|(index, input)| match input {
        FnArg::Receiver(receiver) => capture(site, receiver),
        FnArg::Typed(argument) if site.function.shape == Shape::Future => rebind_in_future(site, argument, body),
        FnArg::Typed(argument) => rebind(site, argument, index),
    });
    let statements = statements.collect();
    (sig, statements)
}

/// Makes the run borrow all of `self` mutably, where the method may do so.
///
/// Otherwise the run borrows only what the body uses, and as the body uses it. A shared borrow of
/// a `Cell` makes the future of the run lose `Send`, even in a struct that is held exclusively.
fn capture(site: &Site<'_>, receiver: &mut Receiver) -> Option<TokenStream> {
    let name = site.receiver()?;
    match (mutable_receiver(receiver), site.function.shape) {
        (Some(false), _) | (_, Shape::Sync) | (None, Shape::Future) => None,
        (Some(true), _) => Some(quote_spanned!(Span::mixed_site()=> let _ = &mut *#name;)),
        (None, Shape::Async) => {
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
//     let mut name = ::jwt_refresh::__private::again(&mut name);
//     let (a, mut b) = ::jwt_refresh::__private::again(&mut argument1);
//     let out = &mut *out;
//
// `again` only reads the argument. It gets `&mut` all the same, because with a shared borrow the
// run would require `Sync` where the function did not.
fn rebind(site: &Site<'_>, argument: &mut PatType, index: usize) -> Option<TokenStream> {
    let name = match &*argument.pat {
        Pat::Wild(_) => return None,
        Pat::Ident(pat) if pat.ident.to_string().starts_with('_') => return None,
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(pat.clone()),
        _ => None,
    };
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
    let unused = allow_unused(site, &name);
    argument.attrs.retain(|attr| attr.path().is_ident("cfg"));
    let mutability = reference.is_none().then(|| Token![mut](Span::mixed_site().located_at(name.span())));
    let pat = PatIdent { attrs: Vec::new(), by_ref: None, mutability, ident: name, subpat: None };
    let pattern = mem::replace(&mut *argument.pat, Pat::Ident(pat));
    Some(quote_spanned!(Span::mixed_site()=> #unused #(#attrs)* let #pattern = #value;))
}

/// Returns the place of an argument, without its attributes.
fn place(argument: &PatType) -> Place {
    Place { start: Place::of(&argument.pat).start, end: Place::of(&argument.ty).end }
}

/// Returns `::jwt_refresh::__private::again(&mut NAME)`, reported at `place`.
pub(crate) fn again(site: &Site<'_>, place: Place, name: &Ident) -> TokenStream {
    site.call_at(place, "again", quote_spanned!(name.span()=> &mut #name))
}

// `#[async_trait]` or the user has moved the arguments into the future. Only those that the body
// mentions are certain to be there.
//
// Output:
//     let name = ::jwt_refresh::__private::again_from(&name);
fn rebind_in_future(site: &Site<'_>, argument: &PatType, body: &TokenStream) -> Option<TokenStream> {
    let Pat::Ident(PatIdent { ident: name, .. }) = &*argument.pat else { return None };
    if !mentions(body.clone(), &name.to_string()) {
        return None;
    }
    let value = match mutable_reference(&argument.ty) {
        Some(false) => return None,
        Some(true) => quote_spanned!(Span::mixed_site()=> &mut *#name),
        None => site.call_at(place(argument), "again_from", quote_spanned!(name.span()=> &#name)),
    };
    let unused = allow_unused(site, name);
    let cfg = argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    Some(quote_spanned!(Span::mixed_site()=> #unused #(#cfg)* let #name = #value;))
}

/// Allows an argument that `from` uses to be unused in the body.
fn allow_unused(site: &Site<'_>, name: &Ident) -> Option<TokenStream> {
    let from = site.options.from.as_ref()?;
    mentions(from.to_token_stream(), &name.to_string()).then(|| quote!(#[allow(unused_variables)]))
}
