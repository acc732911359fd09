// A missing result is reported at the return type of a plain method, and an error of the borrow
// checker at the line at fault, also with `retry`.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    fn no_result(&self) -> Result<u8, Error> {}

    #[refresh_token(retry)]
    fn no_result_again(&self) -> Result<u8, Error> {}

    #[refresh_token(retry)]
    async fn no_result_async(&self) -> Result<u8, Error> {}
}

fn main() {}
