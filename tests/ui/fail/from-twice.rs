use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(from = self.session, from = self.spare)]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
