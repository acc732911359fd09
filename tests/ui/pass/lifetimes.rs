use std::borrow::Cow;

use jwt_refresh::prelude::*;

use crate::api::{Result, session};

struct Api<'c> {
    session: Session,
    name: &'c str,
}

#[refresh_token]
impl<'c> Api<'c> {
    async fn out_of_self(&self) -> Result<&str> {
        Ok(self.name)
    }

    async fn out_of_the_struct(&self) -> Result<&'c str> {
        Ok(self.name)
    }

    #[refresh_token(retry)]
    async fn out_of_an_argument<'a>(&self, path: &'a str) -> Result<Cow<'a, str>> {
        Ok(path.trim().into())
    }

    #[refresh_token(retry)]
    async fn out_of_either<'a>(&'a mut self, path: &'a str) -> Result<Cow<'a, str>>
    where
        'c: 'a,
    {
        Ok(if path.is_empty() { self.name.into() } else { path.into() })
    }

    #[refresh_token(retry, token)]
    async fn out_of_self_again(&self) -> Result<(&str, u64)> {
        Ok((self.name, token.generation()))
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let name = String::from("catalog");
    let mut api = Api { session: session().await, name: &name };
    assert_eq!(api.out_of_self().await.unwrap(), "catalog");
    assert_eq!(api.out_of_the_struct().await.unwrap(), "catalog");
    assert_eq!(api.out_of_an_argument(" a ").await.unwrap(), "a");
    assert_eq!(api.out_of_either("").await.unwrap(), "catalog");
    assert_eq!(api.out_of_self_again().await.unwrap(), ("catalog", 1));
}
