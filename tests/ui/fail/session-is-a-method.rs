use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    auth: Session,
}

impl Api {
    fn session(&self) -> &Session {
        &self.auth
    }

    #[refresh_token]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
