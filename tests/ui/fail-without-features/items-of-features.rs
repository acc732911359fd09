use jwt_refresh::pool::RedisPool;
use jwt_refresh::store::{KeyringStore, RedisStore, Sealed};

fn main() {}
