use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    #[refresh_token]
    async fn connect() -> Result<Self, Error> {
        todo!()
    }
}

fn main() {}
