//! Redis, for everything in this crate that talks to it: a client for a URL, a connection that is
//! opened again when it broke, subscriptions to channels, scripts, the parts of key names, and
//! failures in words that hold no secret.

mod client;
mod connection;
mod failure;
mod keys;
mod script;
mod subscription;

pub(crate) use client::client;
pub(crate) use connection::Connection;
pub(crate) use keys::{encode, is_prefix, random_name};
pub(crate) use script::Script;
pub(crate) use subscription::{Subscription, Subscriptions};
