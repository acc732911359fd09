//! Redis, for everything in this crate that talks to it: what a URL says, a client for it, a
//! connection that is opened again when it broke, subscriptions to channels, scripts, the parts of
//! key names, and failures in words that hold no secret.

mod address;
mod client;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod connection;
mod current;
mod failure;
mod keys;
mod node;
mod script;
#[cfg(feature = "redis-sentinel")]
mod sentinel;
mod subscription;
mod transport;

pub(crate) use client::client;
pub(crate) use connection::Connection;
pub(crate) use keys::{encode, is_prefix, random_name};
pub(crate) use script::Script;
pub(crate) use subscription::{Subscription, Subscriptions};
