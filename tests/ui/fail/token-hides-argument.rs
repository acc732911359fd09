use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(token)]
    async fn search(&self, token: &str) -> Result<String, Error> {
        Ok(token.to_owned())
    }
}

fn main() {}
