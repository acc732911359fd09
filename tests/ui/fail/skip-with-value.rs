use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    #[refresh_token(skip = true)]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
