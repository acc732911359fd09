use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    auth: Session,
}

#[refresh_token]
impl Api {
    fn session(&self) -> &Session {
        &self.auth
    }

    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Api {
    #[refresh_token]
    async fn in_another_block(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
