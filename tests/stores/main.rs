//! Stores: what `TokenStore` promises, and what disks, processes and keyrings can do to it.

#[cfg(unix)]
mod child;
mod conformance;
mod file;
#[cfg(unix)]
mod folder;
#[cfg(feature = "keyring")]
mod keyring;
#[cfg(unix)]
mod processes;
#[cfg(feature = "seal")]
mod sealed;
#[path = "../support/mod.rs"]
mod support;

use jwt_refresh::store::MemoryStore;
use jwt_refresh_testkit::conformance::check;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_passes_the_conformance_suite() {
    let store = MemoryStore::new();
    check(async || store.clone()).await;
}

#[tokio::test]
async fn the_memory_store_passes_the_conformance_suite_on_one_thread() {
    let store = MemoryStore::new();
    check(async || store.clone()).await;
}
