// One mistake, one error: the method is still there to be called, and so is the token.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(token, retires)]
    async fn get(&self) -> Result<String, Error> {
        Ok(format!("{token:?}"))
    }
}

async fn call(api: &Api) -> Result<String, Error> {
    api.get().await
}

fn main() {}
