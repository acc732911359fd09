use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    async fn connect(host: &str) -> Result<Self, Error> {
        todo!("{host}")
    }
}

fn main() {}
