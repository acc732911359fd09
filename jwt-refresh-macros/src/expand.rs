//! Writes the item. In each guarded function, finds the block to guard and has `check` or `retry`
//! write the guard.

use proc_macro2::{Group, Span, TokenStream};
use quote::quote;

use crate::args::Options;
use crate::parse::{Function, Item, Member};
use crate::shape::{self, Shape};
use crate::site::Site;
use crate::tokens::braces;
use crate::{arguments, check, retry};

/// Writes a function that is to be guarded, which has a body.
pub(crate) type Writer = fn(&Function, &Options, &Group) -> TokenStream;

pub(crate) fn item(item: &Item) -> TokenStream {
    item_with(guarded, item)
}

/// Writes `item`, and with `write` each of its functions that is to be guarded.
pub(crate) fn item_with(write: Writer, item: &Item) -> TokenStream {
    let block = match item {
        Item::Function(function) => return function_with(write, function),
        Item::Block(block) => block,
    };
    let members = block.members.iter().map(|member| match member {
        Member::Function(function) => function_with(write, function),
        Member::Other(tokens) => tokens.clone(),
    });
    let head = &block.head;
    let body = braces(members.collect(), block.body.span());
    quote!(#head #body)
}

fn function_with(write: Writer, function: &Function) -> TokenStream {
    if let (Some(options), Some(body)) = (&function.guard, function.body()) {
        return write(function, options, body);
    }
    let Function { attrs, head, tail, .. } = function;
    quote!(#attrs #head #tail)
}

// Input:
//     async fn product(&self, id: u64) -> Result<Product, Error> { BODY }
//
// Output:
//     async fn product(&self, id: u64) -> Result<Product, Error> { GUARDED }
fn guarded(function: &Function, options: &Options, body: &Group) -> TokenStream {
    if function.shape == Shape::Future {
        return guarded_future(function, options, body);
    }
    let site = Site::new(function, options);
    let attrs = &function.attrs;
    let head = if options.retry.is_some() { arguments::head(&site) } else { function.head.clone() };
    let body = guarded_block(&site, body);
    quote!(#attrs #head #body)
}

// Input:
//     fn product(&self, id: u64) -> impl Future<Output = Result<Product, Error>> {
//         async move { BODY }
//     }
//
// Output:
//     fn product(&self, id: u64) -> impl Future<Output = Result<Product, Error>> {
//         async move { GUARDED }
//     }
fn guarded_future(function: &Function, options: &Options, body: &Group) -> TokenStream {
    let Function { attrs, head, .. } = function;
    let mut write = |block: &Group| {
        let site = Site::new(function, options);
        match shape::async_trait(block) {
            None => guarded_block(&site, block),
            Some((async_trait, found)) => {
                let site = Site { async_trait: Some(async_trait), ..site };
                let guarded = guarded_block(&site, &found.group);
                braces(found.with_group(guarded), block.span())
            }
        }
    };
    let content = shape::rewrite_future(body.stream(), &mut write).unwrap_or_else(|| body.stream());
    let body = braces(content, body.span());
    quote!(#attrs #head #body)
}

// Input:
//     { BODY }
//
// Output:
//     {
//         CHECK
//         { BODY }
//     }
//
// Output with `retry`:
//     { LOOP }    // with `{ BODY }` in it
//
// The body is a block of its own, so that no item in it hides what the guard names (tracing#3311).
// The outer braces have the span of the user's: with a span of the macro's, `dead_code` would take
// the whole function for generated code and say nothing (tracing#3108). The inner braces have a
// span of the macro's: with the user's, `unused_braces` would ask to remove them.
fn guarded_block(site: &Site<'_>, body: &Group) -> Group {
    let inner = braces(body.stream(), body.span().resolved_at(Span::mixed_site()));
    let guarded = if site.options.retry.is_some() { retry::guard(site, &inner) } else { check::guard(site, &inner) };
    braces(guarded, body.span())
}
