// What is not finished yet is reported once, where it is, as without the attribute.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    async fn no_return_type(&self) -> {
        Ok(())
    }
}

#[refresh_token(token, retry)]
impl Api {
    async fn no_type_of_an_argument(&self, id) -> Result<(), Error> {
        Ok(())
    }

    async fn no_value(&self) -> Result<(), Error> {
        let value = ;
        Ok(())
    }

    async fn no_path(&self) -> Result<(), Error> {
        std::
    }
}

#[refresh_token]
impl Api {
    async fn
}

#[refresh_token]
impl Api {
    async fn no_argument(&self, , id: u64) -> Result<(), Error> {
        Ok(())
    }
}

#[refresh_token]
impl Api {
    async fn no_body(&self) -> Result<(), Error>;
}

#[refresh_token]
impl Api {
    async fn (&self) -> Result<(), Error> {
        Ok(())
    }
}

#[refresh_token]
impl Api {
    async fn no_arrow(&self) Result<(), Error> {
        Ok(())
    }
}

impl Api {
    #[refresh_token(retry)]
    async fn no_parentheses -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
