use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    #[cfg_attr(unix, refresh_token(skip))]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
