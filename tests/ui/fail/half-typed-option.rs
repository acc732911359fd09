// What an editor sees while an option is typed. The error is where the cursor is.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(from = self.)]
    async fn from_a_field(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(retry_if = Error::, token)]
    async fn if_a_function(&self) -> Result<(), Error> {
        drop(token);
        Ok(())
    }

    #[refresh_token(crate = jwt_refresh::)]
    async fn by_a_path(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(token = )]
    async fn with_a_name(&self) -> Result<(), Error> {
        drop(token);
        Ok(())
    }
}

fn main() {}
