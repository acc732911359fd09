//! `changed` returns after a change of the account's entry.

use std::time::Duration;

use jwt_refresh_core::store::TokenStore;

use super::{entry, load, save, within};

pub(super) async fn changed_returns_after_a_save<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "who waits in `changed` sees what another handle saves";
    let writer = make().await;
    for revision in 1..=3 {
        let reader = make().await;
        let waiter = tokio::spawn(async move {
            // `changed` may return too early, any number of times.
            while load(&reader, "watched", promise).await.map_or(0, |entry| entry.revision) != revision {
                reader.changed("watched", revision - 1).await;
                tokio::task::yield_now().await;
            }
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        save(&writer, "watched", &entry(revision, "changed"), promise).await;
        if let Err(error) = within(promise, waiter).await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

pub(super) async fn changed_returns_for_an_earlier_save<S: TokenStore>(make: &impl AsyncFn() -> S) {
    let promise = "`changed` ends if the change came before the call";
    let (one, other) = (make().await, make().await);
    for revision in 1..=2 {
        save(&one, "changed before", &entry(revision, "before"), promise).await;
        within(promise, other.changed("changed before", revision - 1)).await;
        // The entry may also be newer by more than one revision.
        within(promise, other.changed("changed before", 0)).await;
    }
}
