use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
    name: String,
}

#[refresh_token(retry)]
impl Api {
    async fn dropped_too_early(&self) -> Result<usize, Error> {
        let name;
        {
            let short = String::new();
            name = &short;
        }
        Ok(name.len())
    }

    async fn moved_out(&self) -> Result<String, Error> {
        Ok(self.name)
    }

    async fn borrowed_twice(&mut self) -> Result<(), Error> {
        let first = &mut self.name;
        let second = &mut self.name;
        first.push_str(second);
        Ok(())
    }

    #[refresh_token]
    fn local_returned(&self) -> Result<&str, Error> {
        let name = String::new();
        Ok(&name)
    }
}

fn main() {}
