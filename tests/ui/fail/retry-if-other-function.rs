use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

fn is_401(status: u16) -> bool {
    status == 401
}

impl Api {
    #[refresh_token(retry_if = is_401)]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
