use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
