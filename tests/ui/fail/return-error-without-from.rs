use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

struct ApiError;

impl Api {
    #[refresh_token]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(token = _token, crate = ::jwt_refresh)]
    async fn put(&self) -> Result<Vec<u8>, ApiError> {
        Ok(Vec::new())
    }
}

fn main() {}
