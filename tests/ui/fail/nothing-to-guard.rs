use jwt_refresh::{Session, refresh_token};

struct Api {
    session: Session,
}

#[refresh_token]
impl Api {
    fn session(&self) -> &Session {
        &self.session
    }
}

fn main() {}
