#![deny(unused_variables, unused_mut, dead_code, unused_must_use)]

use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    async fn get(&self, unused: String, mut not_changed: u64) -> Result<u64, Error> {
        let mut neither = 1;
        self.fallible();
        Ok(not_changed)
    }

    fn fallible(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
