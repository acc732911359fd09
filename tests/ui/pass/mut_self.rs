use std::cell::Cell;

use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
    runs: Cell<u32>,
    log: Vec<String>,
}

impl Api {
    #[refresh_token]
    async fn plain(&mut self, line: String) -> Result<u32> {
        self.runs.set(self.runs.get() + 1);
        self.log.push(line);
        tokio::task::yield_now().await;
        Ok(self.runs.get())
    }

    #[refresh_token(token, retry)]
    async fn again(&mut self, line: String, mut n: u64, out: &mut Vec<u64>) -> Result<u64> {
        self.runs.set(self.runs.get() + 1);
        tokio::task::yield_now().await;
        self.log.push(line);
        n += 1;
        out.push(n);
        self.server.call(&token)
    }

    /// What stands after `ref` or `&mut` is borrowed, and what is assigned to `_` stays.
    #[refresh_token(token, retry)]
    async fn borrows(&mut self) -> Result<u64> {
        let _: Vec<String> = self.log;
        #[allow(clippy::toplevel_ref_arg, reason = "it fires without the attribute too")]
        let ref log: Vec<String> = self.log;
        tracing::trace!("{}", log.len());
        #[allow(unused_parens, reason = "it fires without the attribute too")]
        Vec::push(&mut (self.log), "borrows".to_owned());
        self.server.call(&token)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let mut api = Api { session: session().await, server: Server::default(), runs: Cell::new(0), log: Vec::new() };
    assert_eq!(assert_send(api.plain("plain".to_owned())).await.unwrap(), 1);
    let mut out = Vec::new();
    assert_eq!(assert_send(api.again("again".to_owned(), 1, &mut out)).await.unwrap(), 2);
    assert_eq!(api.log, ["plain", "again", "again"]);
    assert_eq!(out, [2, 2]);
    let mut api = Api { session: session().await, ..api };
    assert_eq!(assert_send(api.borrows()).await.unwrap(), 4);
    assert_eq!(api.log[3..], ["borrows", "borrows"]);
}
