use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

struct Upload(Vec<u8>);

impl Api {
    #[refresh_token(retry)]
    async fn put(&self, id: u64, upload: Upload) -> Result<u64, Error> {
        Ok(id + upload.0.len() as u64)
    }
}

fn main() {}
