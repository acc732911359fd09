use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    async fn get(&self, id: u64) -> Result<u64, Error> {
        if id == 0 {
            return Ok("one");
        }
        Ok("two")
    }
}

fn main() {}
