use jwt_refresh::prelude::*;

use crate::api::{ApiError, Result, Server, session};

struct Api {
    session: Session,
    server: Server,
}

#[refresh_token(token)]
impl Api {
    async fn early_exits(&self, n: u64) -> Result<u64> {
        if n == 0 {
            return Err(ApiError::Status(404));
        }
        let text: u64 = "7".parse().map_err(|_| ApiError::Status(400))?;
        let found = 'search: {
            for candidate in 0..n {
                if candidate * candidate >= n {
                    break 'search candidate;
                }
            }
            return Ok(token.generation());
        };
        Ok(found + text)
    }

    #[refresh_token(retry)]
    async fn early_exits_again(&self, n: u64) -> Result<u64> {
        if n == 0 {
            return Err(ApiError::Status(404));
        }
        let calls = self.server.call(&token)?;
        let found = 'search: {
            for candidate in 0..n {
                if candidate * candidate >= n {
                    break 'search candidate;
                }
            }
            return Ok(token.generation());
        };
        Ok(found + calls)
    }

    async fn nested_items(&self) -> Result<u64> {
        type Result = u64;
        enum Option {
            None,
        }
        mod core {
            pub(super) const ONE: u64 = 1;
        }
        const fn inner(n: Result) -> Result {
            n + core::ONE
        }
        let Option::None = Option::None;
        let closure =
            |n| -> std::result::Result<u64, ApiError> { if n > 9 { Err(ApiError::Status(400)) } else { Ok(n) } };
        Ok(inner(closure(1)?))
    }

    #[refresh_token(retry)]
    async fn nested_items_again(&self) -> Result<u64> {
        #![allow(dead_code, reason = "inner attributes stay where they are")]
        type Result = u64;
        const fn result() {}
        struct Some;
        const fn inner(n: Result) -> Result {
            n + 1
        }
        let block = async { Ok::<_, ApiError>(inner(1)) };
        Ok(self.server.call(&token)? + block.await?)
    }

    async fn recursive(&self, n: u64) -> Result<u64> {
        if n == 0 {
            return Ok(0);
        }
        Ok(1 + Box::pin(self.recursive(n - 1)).await?)
    }

    #[refresh_token(retry)]
    async fn recursive_again(&self, n: u64) -> Result<u64> {
        if n == 0 {
            return self.server.call(&token);
        }
        Box::pin(self.recursive_again(n - 1)).await
    }

    #[refresh_token(retry)]
    async fn coerced(&self) -> Result<Box<dyn Iterator<Item = u64> + Send>> {
        if self.server.call(&token)? > 9 {
            return Ok(Box::new(std::iter::empty()));
        }
        Ok(Box::new(std::iter::once(1)))
    }

    #[refresh_token(retry)]
    async fn inferred(&self) -> Result<Vec<u64>> {
        let calls = self.server.call(&token)?;
        Ok((0..calls).collect())
    }

    async fn ends_in_return(&self) -> Result<()> {
        self.server.call(&token)?;
        Ok(())
    }

    #[refresh_token(retry)]
    async fn needs_no_token(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    assert!(api.early_exits(0).await.is_err());
    assert_eq!(api.early_exits(9).await.unwrap(), 10);
    assert_eq!(api.early_exits(1).await.unwrap(), 1);
    assert!(api.early_exits_again(0).await.is_err());
    assert_eq!(api.early_exits_again(9).await.unwrap(), 5);
    assert_eq!(api.nested_items().await.unwrap(), 2);
    assert_eq!(api.nested_items_again().await.unwrap(), 5);
    assert_eq!(api.recursive(3).await.unwrap(), 3);
    assert_eq!(api.recursive_again(3).await.unwrap(), 4);
    assert_eq!(api.coerced().await.unwrap().count(), 1);
    assert_eq!(api.inferred().await.unwrap().len(), 6);
    api.ends_in_return().await.unwrap();
    api.needs_no_token().await.unwrap();
}
