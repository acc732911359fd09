use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    async fn get(&self, id: &str) -> Result<u64, Error> {
        let id: u64 = id.parse()?;
        Ok(id)
    }
}

fn main() {}
