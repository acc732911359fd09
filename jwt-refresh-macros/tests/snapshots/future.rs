#[refresh_token]
pub fn product(&self, id: u64) -> BoxFuture<'_, Result<Product, Error>> {
    let url = self.url(id);
    async move { self.get(url).await?.json().await }.boxed()
}

// ---- expands to ----

pub fn product(&self, id: u64) -> BoxFuture<'_, Result<Product, Error>> {
    let url = self.url(id);
    async move {
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
        if let ::core::option::Option::Some(result) = ::core::option::Option::None::<
            Result<Product, Error>,
        > {
            return result;
        }
        '__guarded: { self.get(url).await?.json().await }
    }
        .boxed()
}
