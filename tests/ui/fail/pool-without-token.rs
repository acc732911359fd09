use jwt_refresh::pool::Pool;
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    pool: Pool,
    session: Session,
}

#[refresh_token(from = self.pool)]
impl Api {
    #[refresh_token(token)]
    async fn get(&self) -> Result<String, Error> {
        Ok(token.account().to_owned())
    }

    async fn put(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(retry)]
    async fn post(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token]
    fn patch(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(skip)]
    async fn size(&self) -> usize {
        self.pool.status().accounts
    }

    #[refresh_token(from = self.session)]
    async fn delete(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
