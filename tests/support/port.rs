//! Ports for the servers of tests.

use std::hash::{BuildHasher, RandomState};
use std::iter;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Below those that a system gives to connections, which could take one before its server starts.
const PORTS: Range<u16> = 10_000..20_000;

/// How much higher the port of a cluster's bus is.
const BUS: u16 = 10_000;

/// A port of this machine on which nothing listens. A process gives each only once, since a replica
/// looks for a master that was stopped for as long as it runs, and would take any other for it.
pub(crate) fn free_port() -> u16 {
    ports().find(|&port| is_free(port)).unwrap()
}

/// The same for a node of a Redis Cluster, which listens for its bus as well.
pub(crate) fn cluster_port() -> u16 {
    ports().find(|&port| is_free(port) && is_free(port + BUS)).unwrap()
}

/// Those that this process has not given yet, from one on that is drawn by lot.
fn ports() -> impl Iterator<Item = u16> {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0) >> 32));
    let count = u64::try_from(PORTS.len()).unwrap();
    iter::repeat_with(move || {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % count;
        PORTS.start + u16::try_from(number).unwrap()
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
