//! Writes the item. In each guarded function, finds the block to guard and has `check` or `retry`
//! write the guard.

use proc_macro2::{Group, TokenStream};
use quote::{quote, quote_spanned};

use crate::args::Options;
use crate::parse::{Block, Function, Item, Member};
use crate::shape::{self, Kept, Shape};
use crate::site::Site;
use crate::tokens::{braces, is_punct};
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
        Item::HalfTyped(tokens) => return tokens.clone(),
    };
    let members = block.members.iter().map(|member| match member {
        Member::Function(function) => function_with(write, function),
        Member::HalfTyped(tokens) | Member::Other(tokens) => tokens.clone(),
    });
    let Block { attrs, head, .. } = block;
    let body = braces(members.collect(), block.body.span());
    quote!(#attrs #head #body)
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
    let head = if options.retry.is_some() { arguments::head(&site, body) } else { function.head.clone() };
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
    let attrs = &function.attrs;
    let mut head = function.head.clone();
    let alone = shape::binds_nothing_outside(body.stream()) && function.has_plain_arguments();
    let mut write = |block: &Group, kept: Kept| {
        let site = Site { kept: kept.in_block(block), alone, ..Site::new(function, options) };
        match shape::async_trait(block) {
            None => {
                if options.retry.is_some() {
                    head = arguments::head(&site, block);
                }
                guarded_block(&site, block)
            }
            Some((async_trait, found)) => {
                let site = Site { async_trait: Some(async_trait), ..site };
                let guarded = guarded_block(&site, &found.group);
                braces(found.with_group(guarded), block.span())
            }
        }
    };
    let rewritten = shape::rewrite_future(body.stream(), &mut write);
    let content = rewritten.map_or_else(|| body.stream(), |(content, _)| content);
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
// All braces have the span of the user's. With a span of the macro's, lints would take what is in
// them for generated code and say nothing: `dead_code` of the whole function (tracing#3108), clippy
// of macros that the body calls. Two reports of one syntax error would not count as the same.
fn guarded_block(site: &Site<'_>, body: &Group) -> Group {
    let inner = inner_block(body);
    let guarded =
        if site.options.retry.is_some() { retry::guard(site, body, &inner) } else { check::guard(site, &inner) };
    braces(guarded, body.span())
}

/// Returns the user's block as it is put into another one.
///
/// `unused_braces` asks to remove braces around a single expression, but not those of a block with
/// a label. An `allow` would not compile where a crate forbids the lint. The label has the span of
/// the user's, as the braces have.
fn inner_block(body: &Group) -> TokenStream {
    let mut trees = body.stream().into_iter().peekable();
    let is_expression = trees.peek().is_some() && !trees.any(|tree| is_punct(&tree, ';'));
    let label = is_expression.then(|| quote_spanned!(body.span_open()=> '__guarded:));
    quote!(#label #body)
}
