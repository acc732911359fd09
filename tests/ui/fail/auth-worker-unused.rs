//! A worker or a pool that nobody keeps ends at once.

#![deny(unused_must_use)]

use jwt_refresh::Error;
use jwt_refresh::pool::{AuthWorker, Pool, RedisPool};

fn start() -> Result<(), Error> {
    AuthWorker::builder("redis://127.0.0.1", "catalog").build()?;
    RedisPool::builder("redis://127.0.0.1", "catalog").build()?;
    Pool::builder().build()?;
    Ok(())
}

fn main() {
    drop(start());
}
