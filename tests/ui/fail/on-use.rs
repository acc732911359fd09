#[jwt_refresh::refresh_token]
pub use std::fs;

fn main() {}
