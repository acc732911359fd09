//! A client for `openapi.json` in the shape that openapi-generator gives it, written by hand and
//! cut to what the example needs: `openapi-generator generate -g rust -i openapi.json` with
//! `--additional-properties=supportMiddleware=true`.

use reqwest_middleware::ClientWithMiddleware;
use serde::Deserialize;

pub(super) struct Configuration {
    pub(super) base_path: String,
    pub(super) client: ClientWithMiddleware,
}

#[derive(Deserialize)]
pub(super) struct Product {
    pub(super) id: i64,
    pub(super) name: String,
}

pub(super) async fn get_product(configuration: &Configuration, id: i64) -> Result<Product, reqwest_middleware::Error> {
    let url = format!("{}/api/v1/products/{id}", configuration.base_path);
    let request = configuration.client.get(url).build()?;
    let response = configuration.client.execute(request).await?;
    Ok(response.error_for_status()?.json().await?)
}
