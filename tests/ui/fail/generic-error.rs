// The compiler asks for `From<jwt_refresh::Error>`, not for a trait that is private.
use jwt_refresh::{Session, refresh_token};

struct Api {
    session: Session,
}

struct Generic<E> {
    session: Session,
    last: Option<E>,
}

impl Api {
    #[refresh_token]
    async fn of_a_method<E>(&self) -> Result<(), E> {
        Ok(())
    }
}

#[refresh_token(retry_if = is_401)]
impl<E> Generic<E> {
    async fn of_a_block(&self) -> Result<(), E> {
        Ok(())
    }
}

fn is_401<E>(_: &E) -> bool {
    true
}

fn main() {}
