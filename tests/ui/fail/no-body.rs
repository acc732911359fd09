use jwt_refresh::{Error, refresh_token};

trait Api {
    #[refresh_token]
    async fn get(&self) -> Result<(), Error>;
}

fn main() {}
