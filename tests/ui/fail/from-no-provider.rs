use jwt_refresh::{Error, refresh_token};

struct Api {
    client: reqwest::Client,
}

impl Api {
    #[refresh_token(from = self.client)]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(token, from = self.client)]
    async fn put(&self) -> Result<(), Error> {
        Ok(drop(token))
    }
}

fn main() {}
