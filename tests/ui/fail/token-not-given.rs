// One error for each method, and none about a value that cannot be found.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

fn send(_: &str) -> Result<(), Error> {
    Ok(())
}

impl Api {
    #[refresh_token]
    async fn forgotten(&self) -> Result<(), Error> {
        send(token.expose())
    }

    #[refresh_token(token as bearer)]
    async fn renamed(&self) -> Result<(), Error> {
        send(bearer.expose())
    }

    #[refresh_token(token(bearer))]
    async fn in_parentheses(&self) -> Result<(), Error> {
        send(bearer.expose())
    }

    #[refresh_token(tokn)]
    async fn mistyped(&self) -> Result<(), Error> {
        send(token.expose())
    }

    #[refresh_token(source = self.session, token)]
    async fn from_by_another_name(&self) -> Result<(), Error> {
        send(token.expose())
    }
}

#[refresh_token(token)]
impl Api {
    #[refresh_token(exclude)]
    async fn skip_by_another_name(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
