use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token(skip)]
impl Api {
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
