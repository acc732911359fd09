//! The arguments of `arguments.rs` in methods without `retry`, which need not be `Clone`.

use std::fmt::Display;

use jwt_refresh::prelude::*;

use crate::api::{Result, assert_send, session};

struct Api {
    session: Session,
}

struct Once(u64);

#[refresh_token]
impl Api {
    async fn opaque(&self, id: impl Display + Send, each: impl FnOnce(u64) -> u64 + Send) -> Result<String> {
        Ok(format!("{id} {}", each(1)))
    }

    async fn dynamic(&self, id: &(dyn Display + Sync), sink: Box<dyn FnOnce(u64) + Send>) -> Result<String> {
        sink(1);
        Ok(id.to_string())
    }

    async fn destructured(&self, Once(mut once): Once, (a, _): (u64, u64), ref b @ [c]: [u64; 1]) -> Result<u64> {
        once += 1;
        Ok(once + a + b[0] + c)
    }

    async fn conditional(&self, #[cfg(test)] there: String, #[cfg(not(test))] absent: Absent) -> Result<String> {
        Ok(there)
    }

    async fn linted(
        &self,
        #[expect(unused_variables, reason = "the attribute must keep this expectation")] unused: u8,
    ) -> Result<u64> {
        Ok(1)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await };
    assert_eq!(assert_send(api.opaque(7, |n| n * 10)).await.unwrap(), "7 10");
    assert_eq!(assert_send(api.dynamic(&8, Box::new(|n| assert_eq!(n, 1)))).await.unwrap(), "8");
    assert_eq!(assert_send(api.destructured(Once(1), (3, 4), [5])).await.unwrap(), 15);
    assert_eq!(assert_send(api.conditional("there".to_owned())).await.unwrap(), "there");
    assert_eq!(assert_send(api.linted(0)).await.unwrap(), 1);
}
