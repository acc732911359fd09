use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

struct Page {
    number: u64,
}

impl Api {
    #[refresh_token(retry)]
    async fn list(&self, Page { number }: Page) -> Result<u64, Error> {
        Ok(number)
    }
}

fn main() {}
