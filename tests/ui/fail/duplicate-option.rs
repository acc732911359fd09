use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(token, token = bearer)]
    async fn get(&self) -> Result<(), Error> {
        Ok(drop(token))
    }
}

fn main() {}
