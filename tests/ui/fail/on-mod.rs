use jwt_refresh::refresh_token;

#[refresh_token]
mod api {}

fn main() {}
