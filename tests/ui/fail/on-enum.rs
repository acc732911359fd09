use jwt_refresh::{Session, refresh_token};

#[refresh_token]
enum Api {
    LoggedIn(Session),
    LoggedOut,
}

fn main() {}
