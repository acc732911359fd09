use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token(tokn)]
impl Api {
    #[refresh_token(from)]
    async fn one(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token]
    fn two(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(skip, skip)]
    async fn three(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
