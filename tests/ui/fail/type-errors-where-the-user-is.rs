// A missing result is reported at the return type of a plain method, and once in a future.
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

    #[refresh_token]
    fn no_result_of_a_future(&self) -> impl Future<Output = Result<u8, Error>> {
        async move {}
    }

    #[refresh_token]
    fn other_result_of_a_future(&self) -> impl Future<Output = Result<u8, Error>> {
        async move { self.no_result_async() }
    }
}

fn main() {}
