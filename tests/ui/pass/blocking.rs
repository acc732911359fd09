use std::cell::Cell;

use jwt_refresh::prelude::*;

use crate::api::{ApiError, Result, Server};

struct Api {
    session: Session,
    server: Server,
    runs: Cell<u32>,
}

impl Api {
    #[refresh_token]
    fn plain(&self) -> Result<u32> {
        Ok(self.runs.get())
    }

    #[refresh_token(token)]
    fn bound(&self, name: Option<&str>) -> Result<u64> {
        let Some(name) = name else { return Err(ApiError::Status(400)) };
        Ok(token.generation() + name.len() as u64)
    }

    #[refresh_token(token, retry)]
    fn again(
        &mut self,
        name: String,
        mut n: u64,
        (a, _): (u64, u64),
        out: &mut Vec<u64>,
    ) -> Result<Box<dyn Fn() -> u64>> {
        *self.runs.get_mut() += 1;
        n += name.into_bytes().len() as u64;
        out.push(n + a);
        self.server.call(&token)?;
        Ok(Box::new(move || n))
    }

    #[refresh_token(token, retry)]
    fn opaque(&self) -> Result<impl Iterator<Item = u64> + use<>> {
        if self.server.call(&token)? == 0 {
            return Err(ApiError::Status(404));
        }
        Ok(std::iter::once(1))
    }

    #[refresh_token(token, retry)]
    fn borrowed(&self) -> Result<&Server> {
        self.server.call(&token)?;
        Ok(&self.server)
    }
}

#[refresh_token(from = session, token)]
fn free(session: &Session) -> Result<u64> {
    Ok(token.generation())
}

#[test]
fn compiles_and_runs() {
    let session = Session::new(crate::api::Issuer);
    session.blocking_token().unwrap();
    let mut api = Api { session, server: Server::default(), runs: Cell::new(0) };
    assert_eq!(api.plain().unwrap(), 0);
    assert_eq!(api.bound(Some("a")).unwrap(), 2);
    assert!(api.bound(None).is_err());
    let mut out = Vec::new();
    assert_eq!(api.again("a".to_owned(), 1, (1, 1), &mut out).unwrap()(), 2);
    assert_eq!((out, api.runs.get()), (vec![3, 3], 2));
    assert_eq!(api.opaque().unwrap().count(), 1);
    api.borrowed().unwrap();
    assert_eq!(free(&api.session).unwrap(), 2);
}
