//! Bytes for each credential, and allocations for each call.
//!
//! The measurement counts what one thread allocates, so all of it runs on one thread. It is a
//! program of its own (`memory`), because the allocator that counts would slow down what `measure`
//! times.

use std::time::Duration;

use crate::Error;
use crate::peer::Contender;
use crate::server::TokenServer;

/// How many credentials are made before anything is counted.
pub const FIRST: usize = 4;
pub const CREDENTIALS: usize = 50;
pub const CALLS: u32 = 1000;

/// Makes credentials that have a token. What a connection needs is gone when it returns: the server
/// closes each.
pub async fn credentials(
    contender: &Contender,
    server: &TokenServer,
    count: usize,
) -> Result<Vec<std::sync::Arc<dyn crate::peer::Peer>>, Error> {
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        made.push(contender.ready(server).await?);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(made)
}
