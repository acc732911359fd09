//! An API wrapper as you would publish it, with a client, one struct for each group of endpoints,
//! typed errors, and pages as a stream. Every call has a valid token, and is repeated once after
//! a 401. The module `shop` is the wrapper, and this program uses it.
//!
//! ```sh
//! cargo run --example typed_api
//! cargo test --example typed_api    # the wrapper's own tests, against the test kit
//! ```

// The wrapper would be a crate of its own, hence its `pub` items.
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

    // After the server has changed its signing key it rejects all tokens issued before. The wrapper
    // renews the token and repeats the call, which this program does not notice.
    server.rotate_signing_key();
    println!("after a change of keys: {}", shop.products().get(7).await?.name);

    // A new token would not help here, so the wrapper returns the error.
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
