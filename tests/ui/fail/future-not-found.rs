use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

impl Api {
    async fn load(&self) -> Result<(), Error> {
        Ok(())
    }

    #[refresh_token]
    fn get(&self) -> impl Future<Output = Result<(), Error>> {
        self.load()
    }
}

fn main() {}
