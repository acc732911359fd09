use jwt_refresh::refresh_token;

macro_rules! api {
    () => {};
}

#[refresh_token]
api! {}

fn main() {}
