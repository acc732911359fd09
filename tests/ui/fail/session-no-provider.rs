use jwt_refresh::{Error, refresh_token};

struct Api {
    session: String,
}

#[refresh_token]
impl Api {
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn put(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
