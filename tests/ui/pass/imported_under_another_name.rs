use jwt_refresh::{Session, refresh_token as guard};

use crate::api::{Result, Server, session};

struct Api {
    session: Session,
    server: Server,
}

#[guard]
impl Api {
    #[guard(skip)]
    async fn skipped(&self) -> u64 {
        std::future::ready(7).await
    }

    #[guard(token, retry)]
    async fn its_own_options(&self) -> Result<u64> {
        self.server.call(&token)
    }

    #[jwt_refresh::refresh_token(token)]
    async fn by_the_first_name(&self) -> Result<u64> {
        Ok(token.generation())
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    assert_eq!(api.skipped().await, 7);
    assert_eq!(api.its_own_options().await.unwrap(), 2);
    assert_eq!(api.by_the_first_name().await.unwrap(), 2);
}
