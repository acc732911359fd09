//! Writes the item anew, and finds in each guarded function the block that the guard goes round.

use proc_macro2::{Group, TokenStream};
use quote::quote;

use crate::args::Options;
use crate::guard::Site;
use crate::parse::{Function, Item, Member};
use crate::retry;
use crate::shape::{self, Shape};
use crate::tokens::braces;

/// Writes a function that is to be guarded, which has a body.
pub(crate) type Writer = fn(&Function, &Options, &Group) -> TokenStream;

pub(crate) fn item(item: &Item) -> TokenStream {
    item_with(guarded, item)
}

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
    let head = retry::head(&site);
    let body = site.guard(body);
    quote!(#attrs #head #body)
}

// Input:
//     fn product(&self, id: u64) -> impl Future<Output = Result<Product, Error>> { async move { BODY } }
//
// Output:
//     fn product(&self, id: u64) -> impl Future<Output = Result<Product, Error>> { async move { GUARDED } }
fn guarded_future(function: &Function, options: &Options, body: &Group) -> TokenStream {
    let Function { attrs, head, .. } = function;
    let mut write = |block: &Group| {
        let site = Site::new(function, options);
        match shape::async_trait(block) {
            None => site.guard(block),
            Some((async_trait, found)) => {
                let guarded = Site { async_trait: Some(async_trait), ..site }.guard(&found.group);
                braces(found.with(guarded), block.span())
            }
        }
    };
    let content = shape::rewrite_future(body.stream(), &mut write).unwrap_or_else(|| body.stream());
    let body = braces(content, body.span());
    quote!(#attrs #head #body)
}
