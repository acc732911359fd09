//! An API wrapper as one would ship it: a client, one struct for each family of endpoints, typed errors, pages as a stream, and
//! every call with a valid token and one retry after a 401. `shop` is the wrapper; this is a program that uses it.
//!
//! ```sh
//! cargo run --example typed_api
//! cargo test --example typed_api    # the wrapper's own tests, against the test kit
//! ```

// It would be a crate of its own.
#[allow(unreachable_pub, missing_docs)]
mod shop;

use std::pin::pin;

use futures_util::TryStreamExt;
use jwt_refresh_testkit::TestServer;
use shop::{Shop, ShopError};

#[tokio::main]
async fn main() -> Result<(), ShopError> {
    let server = TestServer::start();
    let shop = Shop::connect(server.base_url(), server.email(), server.password()).await?;

    let product = shop.products().get(7).await?;
    println!("product {}: {}", product.id, product.name);
    let renamed = shop.products().rename(7, "Lamp, brass").await?;
    println!("renamed to {}", renamed.name);

    let mut prices = pin!(shop.inventory().prices());
    let (mut count, mut total) = (0_u64, 0);
    while let Some(price) = prices.try_next().await? {
        count += 1;
        total += price.price_cents;
    }
    println!("{count} prices, {}.{:02} on average", total / count / 100, total / count % 100);

    // The server changes its signing key: every token is rejected from now on, and no caller notices.
    server.rotate_signing_key();
    println!("after a change of keys: {}", shop.products().get(7).await?.name);

    // What no new token can mend is told as it is.
    if let Err(ShopError::Forbidden) = shop.products().delete(7).await {
        println!("deleting is not allowed");
    }
    let stats = server.stats();
    println!(
        "calls={} logins={} refreshes={} rejected={}",
        stats.api_calls, stats.logins, stats.refreshes, stats.rejected
    );
    Ok(())
}
