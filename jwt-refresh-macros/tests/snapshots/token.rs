#[refresh_token(token = bearer, from = self.auth.session())]
pub async fn product(&self, id: u64) -> Result<Product, Error> {
    self.get(id).bearer(&bearer).await?.json().await
}

// ---- expands to ----

pub async fn product(&self, id: u64) -> Result<Product, Error> {
    let bearer = {
        let token = ::jwt_refresh::__private::AsyncGuard::token(&self.auth.session());
        match token {
            ::core::result::Result::Ok(token) => token,
            ::core::result::Result::Err(renewal) => {
                match renewal.await {
                    ::core::result::Result::Ok(token) => token,
                    ::core::result::Result::Err(error) => {
                        return ::jwt_refresh::__private::CarryError::carry(error);
                    }
                }
            }
        }
    };
    '__guarded: { self.get(id).bearer(&bearer).await?.json().await }
}
