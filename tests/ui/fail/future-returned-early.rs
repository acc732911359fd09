use std::pin::Pin;

use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    fn get(&self, id: u64) -> Pin<Box<dyn Future<Output = Result<u64, Error>> + '_>> {
        if id == 0 {
            return Box::pin(async { Ok(0) });
        }
        Box::pin(async move { Ok(id) })
    }
}

fn main() {}
