use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(retry)]
    async fn put(&self, parts: impl Iterator<Item = u64>) -> Result<u64, Error> {
        Ok(parts.sum())
    }
}

fn main() {}
