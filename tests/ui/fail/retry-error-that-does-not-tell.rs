use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

enum ApiError {
    Auth(Error),
    Status(u16),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Auth(error)
    }
}

impl Api {
    #[refresh_token(retry)]
    async fn get(&self) -> Result<Vec<u8>, ApiError> {
        Err(ApiError::Status(401))
    }
}

fn main() {}
