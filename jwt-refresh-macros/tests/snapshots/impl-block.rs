#[refresh_token(token)]
unsafe impl<T> Api<{ N }> for Catalog<T> {
    #![allow(unused)]
    const N: usize = { 1 } + 1;
    type F = fn() -> Matrix<{ N }, 2>;
    shared! { fn }

    /// Left alone: it has no receiver.
    async fn connect() -> Result<Self, Error> {
        todo!()
    }

    #[refresh_token(skip)]
    async fn ping(&self) {}

    /// Guarded.
    #[must_use]
    async fn product(self: Arc<Self>, id: Id<{ N }>) -> Result<Product, Error> {
        body(token)
    }

    #[jwt_refresh::refresh_token(from = self.admin, crate = ::jwt_refresh_core)]
    async fn admin(&mut self) -> Result<(), Error> {}

    fn host(&self) -> &str {
        &self.host
    }
}

// ---- expands to ----

unsafe impl<T> Api<{ N }> for Catalog<T> {
    #![allow(unused)]
    const N: usize = { 1 } + 1;
    type F = fn() -> Matrix<{ N }, 2>;
    shared! {
        fn
    }
    /// Left alone: it has no receiver.
    async fn connect() -> Result<Self, Error> {
        todo!()
    }
    async fn ping(&self) {}
    /// Guarded.
    #[must_use]
    async fn product(self: Arc<Self>, id: Id<{ N }>) -> Result<Product, Error> {
        #[allow(unused_variables)]
        let token = {
            let token = ::jwt_refresh::__private::AsyncGuard::token(&self.session);
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
        '__guarded: { body(token) }
    }
    async fn admin(&mut self) -> Result<(), Error> {
        #[allow(unused_variables)]
        let token = {
            let token = ::jwt_refresh_core::__private::AsyncGuard::token(&self.admin);
            match token {
                ::core::result::Result::Ok(token) => token,
                ::core::result::Result::Err(renewal) => {
                    match renewal.await {
                        ::core::result::Result::Ok(token) => token,
                        ::core::result::Result::Err(error) => {
                            return ::jwt_refresh_core::__private::CarryError::carry(
                                error,
                            );
                        }
                    }
                }
            }
        };
        {}
    }
    fn host(&self) -> &str {
        &self.host
    }
}
