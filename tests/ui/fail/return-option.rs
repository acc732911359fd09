use jwt_refresh::{Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    async fn get(&self) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
}

fn main() {}
