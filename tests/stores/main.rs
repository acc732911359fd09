//! The stores, against the promises of `TokenStore` and against what disks and processes do.

mod broken;
#[cfg(unix)]
mod child;
mod file;
#[cfg(feature = "keyring")]
mod keyring;
#[cfg(unix)]
mod processes;
#[cfg(feature = "seal")]
mod sealed;

use jwt_refresh::store::MemoryStore;
use jwt_refresh_testkit::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_keeps_its_promises() {
    let store = MemoryStore::new();
    conformance::check(async || store.clone()).await;
}

#[tokio::test]
async fn the_store_in_memory_keeps_its_promises_on_one_thread() {
    let store = MemoryStore::new();
    conformance::check(async || store.clone()).await;
}
