use jwt_refresh::{Session, refresh_token};

struct Api {
    #[refresh_token]
    session: Session,
}

fn main() {}
