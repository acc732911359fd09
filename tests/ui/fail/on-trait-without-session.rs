use jwt_refresh::{Error, refresh_token};

#[refresh_token]
trait Products {
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
