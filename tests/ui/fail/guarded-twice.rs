// Two guards would ask twice, and run the body up to four times.
use jwt_refresh::refresh_token as guard;
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
#[refresh_token(retry)]
impl Api {
    async fn on_the_block(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[refresh_token]
#[guard(retry)]
impl Api {
    async fn on_the_block_by_two_names(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[refresh_token]
impl Api {
    #[guard(skip)]
    async fn on_block_and_method_by_two_names(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Api {
    #[guard]
    #[refresh_token]
    async fn on_a_method_by_two_names(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token]
    #[guard]
    fn in_a_future(&self) -> impl Future<Output = Result<(), Error>> {
        async move { Ok(()) }
    }
}

fn main() {}
