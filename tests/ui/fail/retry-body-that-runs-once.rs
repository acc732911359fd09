// Each of these is one sentence at the place, not an error about the loop of the attribute.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(retry)]
    async fn consumes_self(self) -> Result<(), Error> {
        drop(self);
        Ok(())
    }

    #[refresh_token(retry)]
    async fn lends_self(&mut self) -> Result<&mut Session, Error> {
        Ok(&mut self.session)
    }

    #[tracing::instrument(skip_all)]
    #[refresh_token(retry)]
    async fn below_instrument(&mut self) -> Result<(), Error> {
        self.session = self.session.clone();
        Ok(())
    }

    #[refresh_token(retry, retry_if = Error::is_transient)]
    async fn retries_twice(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
