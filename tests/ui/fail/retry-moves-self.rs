// The compiler's error is at the line that consumes `self`, not at the attribute.
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
    name: String,
}

impl Api {
    fn finish(self) -> usize {
        self.name.len()
    }

    fn name(&self) -> &str {
        &self.name
    }

    #[refresh_token(retry)]
    async fn by_a_method(self) -> Result<usize, Error> {
        Ok(self.finish())
    }

    #[refresh_token(retry)]
    async fn by_a_method_in_a_box(self: Box<Self>) -> Result<usize, Error> {
        let length = self.name.len();
        Ok(length + self.finish())
    }

    #[refresh_token(retry)]
    async fn by_a_pattern(self) -> Result<String, Error> {
        let Api { name, .. } = self;
        Ok(name)
    }

    #[refresh_token(retry)]
    async fn by_a_method_of_a_field(self) -> Result<Vec<u8>, Error> {
        drop(self.name().len());
        Ok(self.name.into_bytes())
    }

    #[refresh_token(retry, from = self.session)]
    async fn in_a_match(self) -> Result<String, Error> {
        match self {
            Self { name, .. } => Ok(name),
        }
    }
}

fn main() {}
