use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(retry)]
    async fn into_session(self) -> Result<Session, Error> {
        Ok(self.session)
    }
}

fn main() {}
