// A field that is moved out of `self` is one sentence at the place.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
    name: String,
}

struct Named {
    name: String,
}

impl Api {
    #[refresh_token(retry)]
    async fn into_session(self) -> Result<Session, Error> {
        Ok(self.session)
    }

    #[refresh_token(retry)]
    async fn into_named(self) -> Result<Named, Error> {
        let named = Named { name: self.name };
        Ok(named)
    }

    #[refresh_token(retry)]
    async fn moves_what_is_lent(&mut self) -> Result<String, Error> {
        let name = self.name;
        Ok(name)
    }
}

fn main() {}
