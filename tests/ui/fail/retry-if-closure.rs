use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(retry_if = |error| error.status() == Some(401))]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
