use jwt_refresh::{Session, refresh_token};

#[refresh_token]
struct Api {
    session: Session,
}

fn main() {}
