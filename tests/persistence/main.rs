//! What a session keeps beyond its process: it starts from what is there, and neither loses a login
//! nor sends a spent token, whatever becomes of the store, the clocks and the processes.

mod captured;
mod clocks;
mod connect;
mod faulty;
mod logout;
mod outages;
mod rollback;
mod scripted;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod unreadable;
