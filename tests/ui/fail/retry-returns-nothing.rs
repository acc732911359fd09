use jwt_refresh::{Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token(retry)]
    async fn get(&self) -> u64 {
        1
    }
}

fn main() {}
