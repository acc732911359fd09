//! Requests with a token, sent by each client, against a real server: whatever the client, the same
//! workload makes the same calls, rejections and refreshes as annotated methods do.

mod challenges;
mod clients;
mod crowd;
mod examples;
mod giving_up;
#[cfg(feature = "tower")]
mod grpc;
mod http_2;
mod leases;
mod nested;
mod not_retried;
mod odd_answers;
mod redirects;
mod rule;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "blocking")]
mod time_outs;
#[cfg(feature = "tower")]
mod tower_layer;
#[cfg(feature = "ureq")]
mod ureq_client;
#[cfg(feature = "ureq")]
mod ureq_middleware;
mod workloads;

use jwt_refresh::{RequestRule, Session};
use jwt_refresh_testkit::{ReceivedRequest, Stats, TestServer};

use support::World;

impl World {
    /// A session that is logged in, and may send its token to the server.
    async fn logged_in(&self) -> Session {
        self.session().requests(self.rule()).connect().await.unwrap()
    }

    /// The default rule for requests to the server.
    fn rule(&self) -> RequestRule {
        RequestRule::for_origin(self.server.base_url()).unwrap()
    }
}

/// The path of a product, which the server has by itself.
const PRODUCT: &str = "/api/v1/products/1";

/// What a server received but for logins and refreshes.
fn api_requests(server: &TestServer) -> Vec<ReceivedRequest> {
    server.requests().into_iter().filter(|request| !request.path().starts_with("/api/auth/")).collect()
}

/// What a workload cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    calls: u64,
    rejected: u64,
    logins: u64,
    refreshes: u64,
}

fn cost(server: &TestServer) -> Cost {
    let Stats { api_calls, rejected, logins, refreshes, .. } = server.stats();
    Cost { calls: api_calls, rejected, logins, refreshes }
}
