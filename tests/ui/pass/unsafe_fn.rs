use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

struct Api {
    session: Session,
    server: Server,
}

#[refresh_token(token)]
#[expect(clippy::future_not_send, reason = "they are not without the attribute either")]
impl Api {
    /// # Safety
    ///
    /// `id` must point to something.
    async unsafe fn raw(&self, id: *const u64) -> Result<u64> {
        // SAFETY: the caller promises it.
        let id = unsafe { *id };
        Ok(id + token.generation())
    }

    /// # Safety
    ///
    /// `id` must point to something.
    #[refresh_token(retry)]
    async unsafe fn raw_again(&self, id: *const u64) -> Result<u64> {
        // SAFETY: the caller promises it.
        let id = unsafe { *id };
        Ok(id + self.server.call(&token)?)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    // SAFETY: it points to a literal.
    unsafe {
        assert_eq!(api.raw(&raw const ID).await.unwrap(), 2);
        assert_eq!(api.raw_again(&raw const ID).await.unwrap(), 3);
    }
}

static ID: u64 = 1;
