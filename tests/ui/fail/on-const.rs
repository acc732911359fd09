use jwt_refresh::refresh_token;

#[refresh_token]
const TIMEOUT: u64 = 30;

fn main() {}
