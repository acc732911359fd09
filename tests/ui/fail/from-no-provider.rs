use jwt_refresh::{Error, refresh_token};

struct Connection;

struct Api {
    connection: Connection,
}

impl Api {
    #[refresh_token(from = self.connection)]
    async fn get(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token(token, from = self.connection)]
    async fn put(&self) -> Result<(), Error> {
        Ok(drop(token))
    }
}

fn main() {}
