//! Callers that give up before there is an answer.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt;

use crate::clients::can_be_cancelled;
use crate::support::until;
use crate::workloads::{compare_some, get};
use crate::{Cost, PRODUCT, cost};

#[tokio::test]
async fn a_request_that_is_cancelled_while_its_token_is_renewed_costs_one_refresh_and_no_token() {
    let expected = Cost { calls: 1, rejected: 1, logins: 1, refreshes: 1 };
    compare_some(&can_be_cancelled, expected, async |world, session, client| {
        world.server.rotate_signing_key();
        let waits_before = session.stats().waits;
        let mut request = client.get(world.server.url(PRODUCT));
        // Polls the request until the server has rejected it and it waits for the renewal.
        poll_fn(|context| {
            assert!(request.as_mut().poll(context).is_pending());
            if session.stats().waits > waits_before { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(request);
        until("the refresh has ended", async || session.stats().refreshes == 1).await;
        assert_eq!(get(world, client).await, 200);
    })
    .await;
}

/// The thread cannot be cut off: it waits for the token and sends the request, for nobody.
#[tokio::test]
async fn a_blocked_thread_that_is_given_up_while_its_token_is_renewed_costs_one_refresh_and_no_token() {
    let expected = Cost { calls: 2, rejected: 1, logins: 1, refreshes: 1 };
    let blocks = |name: &str| !can_be_cancelled(name);
    compare_some(&blocks, expected, async |world, session, client| {
        world.server.rotate_signing_key();
        let waits_before = session.stats().waits;
        let mut request = client.get(world.server.url(PRODUCT));
        assert!(request.as_mut().now_or_never().is_none());
        until("the request waits for the renewal", async || session.stats().waits > waits_before).await;
        drop(request);
        assert_eq!(get(world, client).await, 200);
        until("the request that was given up is answered", async || cost(&world.server).calls == 2).await;
    })
    .await;
}
