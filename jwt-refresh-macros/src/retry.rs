//! The guard with `retry`: a loop round the body, which becomes a future of its own, inline. It runs once, and once more if
//! it was answered 401. What it takes by value it must therefore not take from the arguments, but from copies.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Expr, FnArg, GenericArgument, Pat, PatIdent, PatType, PathArguments, Receiver, ReceiverKind, Signature, Token,
    Type, TypeInfer, UnOp,
};

use crate::args::Retry;
use crate::guard::{Place, Site};
use crate::shape::Shape;
use crate::tokens::mentions;

/// The head of a function: as it was, but that a run which needs arguments of its own takes them from the function's.
pub(crate) fn head(site: &Site<'_>) -> TokenStream {
    if site.options.retry.is_none() {
        return site.function.head.clone();
    }
    let (sig, _) = arguments(site, &TokenStream::new());
    let qualifiers = &site.function.qualifiers;
    quote!(#qualifiers #sig)
}

// Input:
//     { BODY }
//
// Output:
//     let mut held = TOKEN;
//     ::jwt_refresh::__private::spared(&held).spared();    // with `from`, without `token`
//     let mut rerun = false;
//     loop {
//         {
//             let result = RUN;
//             if !REJECTED { break result; }
//         }
//         if rerun {
//             let error = ::jwt_refresh::__private::rejected_again(&self.session, &held);
//             return ::jwt_refresh::__private::fail(error);
//         }
//         rerun = true;
//         let renewal = ::jwt_refresh::__private::rejected(&self.session, &held);
//         held = match renewal.await { … };
//     }
//
// The result is gone, in a block of its own, before anything is awaited: it need not be `Send`.
pub(crate) fn rerun(site: &Site<'_>, body: &Group) -> TokenStream {
    let (kept, provider) = provider(site);
    let runtime = site.runtime();
    let token = site.token(&provider);
    let run = run(site, body);
    let rejected = rejected(site);
    let fail = site.fail();
    let renewal = match site.function.shape {
        Shape::Sync => quote_spanned!(Span::mixed_site()=> #runtime::blocking::rejected(#provider, &held)),
        Shape::Async | Shape::Future => quote_spanned!(Span::mixed_site()=> #runtime::rejected(#provider, &held)),
    };
    let renewed = site.unwrapped(&match site.function.shape {
        Shape::Sync => quote_spanned!(Span::mixed_site()=> renewal),
        Shape::Async | Shape::Future => quote_spanned!(Span::mixed_site()=> renewal.await),
    });
    let spared = site.must_not_spare().filter(|_| site.options.token.is_none());
    let spared = spared.map(|spared| quote_spanned!(Span::mixed_site()=> #runtime::spared(&held).#spared();));
    quote_spanned! {Span::mixed_site()=>
        #kept
        let mut held = #token;
        #spared
        let mut rerun = false;
        loop {
            {
                let result = #run;
                #rejected
            }
            if rerun {
                let error = #runtime::rejected_again(#provider, &held);
                return #fail;
            }
            rerun = true;
            let renewal = #renewal;
            held = #renewed;
        }
    }
}

/// The provider is needed twice, and what names it is evaluated once. A path to it can be followed anew. The value of
/// anything else is kept meanwhile, or, lest it borrow from a `self` that the body needs exclusively, a clone of what it borrows.
// Output:
//     let provider = ::core::convert::identity(self.auth.session());
fn provider(site: &Site<'_>) -> (Option<TokenStream>, TokenStream) {
    let from = match &site.options.from {
        Some(from) if !is_path(from) => site.renamed(from.to_token_stream()),
        _ => return (None, site.provider()),
    };
    let runtime = site.runtime();
    let exclusive = site.function.receiver().is_some_and(|receiver| mutable_receiver(receiver) != Some(false));
    let kept = if exclusive {
        quote_spanned!(Span::mixed_site()=> { use #runtime::Keep as _; #runtime::Kept(#from).keep() })
    } else {
        // A call, so that a lock guard in the expression does not live as long as the variable.
        quote_spanned!(Span::mixed_site()=> ::core::convert::identity(#from))
    };
    (Some(quote_spanned!(Span::mixed_site()=> let provider = #kept;)), quote_spanned!(Span::mixed_site()=> &provider))
}

/// `self.auth.session`, `&sessions[0]`, `**session`: what can be evaluated again and does nothing.
fn is_path(from: &Expr) -> bool {
    match from {
        Expr::Path(_) | Expr::Lit(_) => true,
        Expr::Field(from) => is_path(&from.base),
        Expr::Index(from) => is_path(&from.expr) && is_path(&from.index),
        Expr::Reference(from) => is_path(&from.expr),
        Expr::Unary(from) => matches!(from.op, UnOp::Deref(_)) && is_path(&from.expr),
        Expr::Paren(from) => is_path(&from.expr),
        Expr::Group(from) => is_path(&from.expr),
        _ => false,
    }
}

// Output:
//     async {
//         let token = ::jwt_refresh::__private::again(&mut held);
//         let name = ::jwt_refresh::__private::again(&mut name);
//         if let ::core::option::Option::Some(result) = ::core::option::Option::None::<Result<Product, Error>> {
//             return result;
//         }
//         { BODY }
//     }.await
//
// Not `move`: the body borrows what it does not consume, for it may have to run again. The `return` that never happens tells
// the compiler the type of the block before the first `?`, so that errors in the body are reported where they are.
fn run(site: &Site<'_>, body: &Group) -> TokenStream {
    let token = site.options.token.as_ref().map(|binding| {
        let name = &binding.name;
        let unused = binding.shared.then(|| quote!(#[allow(unused_variables)]));
        let again = again(site, Place::of(name), &Ident::new("held", Span::mixed_site()));
        quote_spanned!(Span::mixed_site()=> #unused let #name = #again;)
    });
    let moved = site.async_trait.as_ref().map(|async_trait| &async_trait.arguments);
    let (_, arguments) = arguments(site, &quote!(#moved #body));
    let arguments = quote!(#arguments #moved);
    let output = site.output().cloned().map(inferred);
    if site.function.shape == Shape::Sync {
        let output = output.map(|output| quote_spanned!(Span::mixed_site()=> -> #output));
        return quote_spanned!(Span::mixed_site()=> (|| #output { #token #arguments #body })());
    }
    let typed = output.map(|output| {
        quote_spanned! {Span::mixed_site()=>
            if let ::core::option::Option::Some(result) = ::core::option::Option::None::<#output> {
                return result;
            }
        }
    });
    quote_spanned!(Span::mixed_site()=> async { #token #arguments #typed #body }.await)
}

// Output:
//     let answer = ::jwt_refresh::__private::answer(&result);
//     if !(answer.value.is_rejection() || answer.error.is_rejection()) {
//         break result;
//     }
fn rejected(site: &Site<'_>) -> TokenStream {
    if let Some(Retry { when: Some(when) }) = &site.options.retry {
        let rejected = site.call_at(Place::of(when), "retry_if", quote_spanned!(Span::mixed_site()=> #when, &result));
        return quote_spanned!(Span::mixed_site()=> if !#rejected { break result; });
    }
    // The same bound as that of `fail`, at the same place: so the compiler reports it once.
    let place = site.place();
    let and = Token![&](place.start);
    let result = Ident::new("result", place.end);
    let answer = site.call_at(place, "answer", quote!(#and #result));
    let of_error = Ident::new("is_rejection", error_place(site).start);
    quote_spanned! {Span::mixed_site()=>
        let answer = #answer;
        if !(answer.value.is_rejection() || answer.error.#of_error()) {
            break result;
        }
    }
}

/// Where the `E` of a `Result<T, E>` is written, or else the whole return type.
fn error_place(site: &Site<'_>) -> Place {
    let Some(Type::Path(output)) = site.output() else { return site.place() };
    let arguments = output.path.segments.last().map(|last| &last.arguments);
    match arguments {
        Some(PathArguments::AngleBracketed(arguments)) if arguments.args.len() > 1 => {
            arguments.args.last().map_or_else(|| site.place(), Place::of)
        }
        _ => site.place(),
    }
}

/// `output` as it can be written in a body: `Result<_, Error>` for `Result<impl Stream, Error>`.
fn inferred(mut output: Type) -> Type {
    infer(&mut output);
    output
}

fn infer(ty: &mut Type) {
    match ty {
        Type::ImplTrait(opaque) => {
            *ty = Type::Infer(TypeInfer { attrs: Vec::new(), underscore_token: Token![_](opaque.impl_token.span) });
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

/// The signature with its arguments as each run can take its own from them, and the statements that do so.
fn arguments(site: &Site<'_>, body: &TokenStream) -> (Signature, TokenStream) {
    let mut sig = site.function.sig.clone();
    let statements = sig.inputs.iter_mut().enumerate().filter_map(|(index, input)| match input {
        FnArg::Receiver(receiver) => capture(site, receiver),
        FnArg::Typed(argument) if site.function.shape == Shape::Future => own_in_future(site, argument, body),
        FnArg::Typed(argument) => own(site, argument, index),
    });
    let statements = statements.collect();
    (sig, statements)
}

/// Has the run borrow all of `self` mutably where the method may. Left alone it would borrow what the body uses, and the
/// shared borrow of a `Cell`, in a struct that is held exclusively, would cost the future its `Send`.
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

/// Whether `self` is a reference, and then, whether a mutable one.
fn mutable_receiver(receiver: &Receiver) -> Option<bool> {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => Some(mutability.is_some()),
        ReceiverKind::Typed(_, ty) => mutable_reference(ty),
        _ => None,
    }
}

/// Whether `ty` is a reference, and then, whether a mutable one.
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
//     mut name: String, mut argument: (A, B), out: &mut Vec<u8>
//     let mut name = ::jwt_refresh::__private::again(&mut name);
//     let (a, mut b) = ::jwt_refresh::__private::again(&mut argument);
//     let out = &mut *out;
//
// By `&mut`, although `again` only looks: so the run does not ask for `Sync` where the function did not.
fn own(site: &Site<'_>, argument: &mut PatType, index: usize) -> Option<TokenStream> {
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
    let own = match reference {
        Some(false) => quote!(#name),
        Some(true) => quote_spanned!(Span::mixed_site()=> &mut *#name),
        None => again(site, place, &name),
    };
    let attrs = argument.attrs.clone();
    let unused = unused(site, &name);
    argument.attrs.retain(|attr| attr.path().is_ident("cfg"));
    let mutability = reference.is_none().then(|| Token![mut](Span::mixed_site().located_at(name.span())));
    let pat = PatIdent { attrs: Vec::new(), by_ref: None, mutability, ident: name, subpat: None };
    let pattern = std::mem::replace(&mut *argument.pat, Pat::Ident(pat));
    Some(quote_spanned!(Span::mixed_site()=> #unused #(#attrs)* let #pattern = #own;))
}

/// Where an argument is written, without its attributes.
fn place(argument: &PatType) -> Place {
    Place { start: Place::of(&argument.pat).start, end: Place::of(&argument.ty).end }
}

fn again(site: &Site<'_>, place: Place, name: &Ident) -> TokenStream {
    site.call_at(place, "again", quote_spanned!(name.span()=> &mut #name))
}

// Where `#[async_trait]` or the user has moved the arguments into the future, only those that are mentioned there are sure
// to be there.
//
// Output:
//     let name = ::jwt_refresh::__private::again_from(&name);
fn own_in_future(site: &Site<'_>, argument: &PatType, body: &TokenStream) -> Option<TokenStream> {
    let Pat::Ident(PatIdent { ident: name, .. }) = &*argument.pat else { return None };
    if !mentions(body.clone(), &name.to_string()) {
        return None;
    }
    let own = match mutable_reference(&argument.ty) {
        Some(false) => return None,
        Some(true) => quote_spanned!(Span::mixed_site()=> &mut *#name),
        None => site.call_at(place(argument), "again_from", quote_spanned!(name.span()=> &#name)),
    };
    let unused = unused(site, name);
    let cfg = argument.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    Some(quote_spanned!(Span::mixed_site()=> #unused #(#cfg)* let #name = #own;))
}

/// An argument that is used in `from` need not be used in the body.
fn unused(site: &Site<'_>, name: &Ident) -> Option<TokenStream> {
    let from = site.options.from.as_ref()?;
    mentions(from.to_token_stream(), &name.to_string()).then(|| quote!(#[allow(unused_variables)]))
}
