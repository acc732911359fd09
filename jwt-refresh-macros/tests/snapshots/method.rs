#[refresh_token]
pub async fn product(&self, id: u64) -> Result<Product, Error> {
    self.get(id).await?.json().await
}

// ---- expands to ----

pub async fn product(&self, id: u64) -> Result<Product, Error> {
    {
        let stale = ::jwt_refresh::__private::AsyncGuard::check(&self.session);
        if let ::core::option::Option::Some(renewal) = stale {
            match renewal.await {
                ::core::result::Result::Ok(_) => {}
                ::core::result::Result::Err(error) => {
                    return ::jwt_refresh::__private::CarryError::carry(error);
                }
            }
        }
    }
    '__guarded: { self.get(id).await?.json().await }
}
