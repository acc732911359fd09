use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token(token)]
impl Api {
    fn get(&self) -> Result<String, Error> {
        Ok(token.expose().to_owned())
    }

    async fn put(&self) -> Result<String, Error> {
        Ok(token.expose().to_owned())
    }
}

fn main() {}
