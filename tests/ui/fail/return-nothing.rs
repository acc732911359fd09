use jwt_refresh::{Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    #[refresh_token]
    async fn get(&self) {}
}

fn main() {}
