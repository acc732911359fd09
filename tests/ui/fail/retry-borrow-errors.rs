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

    async fn assigned_through_a_shared_reference(&self) -> Result<(), Error> {
        self.name = String::new();
        self.name.push('a');
        Ok(())
    }

    fn assigned_in_a_future(&self) -> impl Future<Output = Result<(), Error>> {
        async move {
            self.name = String::new();
            Ok(())
        }
    }

    #[refresh_token]
    fn assigned_in_a_method_that_is_not_async(&self) -> Result<(), Error> {
        self.name = String::new();
        Ok(())
    }

    #[refresh_token]
    fn local_returned(&self) -> Result<&str, Error> {
        let name = String::new();
        Ok(&name)
    }
}

fn main() {}
