use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(from = self.session)]
    async fn connect() -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
