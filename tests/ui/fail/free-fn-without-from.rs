use jwt_refresh::{Error, Session, refresh_token};

#[refresh_token]
async fn get(session: &Session) -> Result<(), Error> {
    let _ = session;
    Ok(())
}

fn main() {}
