use std::sync::Mutex;

use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Mutex<Session>,
}

impl Api {
    #[refresh_token(from = self.session.lock().unwrap())]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
