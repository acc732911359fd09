use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::{self, Display};

use jwt_refresh::prelude::*;

use crate::api::{Result, Server, assert_send, session};

struct Api {
    session: Session,
    server: Server,
}

#[derive(Clone)]
struct Page {
    number: u64,
    size: u64,
}

/// Cannot be cloned, and is not `Sync`.
struct Once(Cell<u64>);

impl Once {
    const fn new(value: u64) -> Self {
        Self(Cell::new(value))
    }
}

impl Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.get().fmt(f)
    }
}

const fn read(once: &Once) -> u64 {
    once.0.get()
}

#[refresh_token(token, retry)]
impl Api {
    async fn not_used(&self, _once: Once, _text: impl Display + Send) -> Result<u64> {
        self.server.call(&token)
    }

    #[allow(clippy::used_underscore_binding, reason = "it fires without the attribute too")]
    async fn borrowed(&self, _once: Once, once: Once, name: String) -> Result<String> {
        let read = read(&_once) + read(&once);
        tokio::task::yield_now().await;
        self.server.call(&token)?;
        Ok(format!("{read} {once} {}", _once) + &name)
    }

    fn borrowed_in_a_future(&self, once: Once) -> impl Future<Output = Result<u64>> + Send {
        async move {
            tokio::task::yield_now().await;
            self.server.call(&token)?;
            Ok(read(&once))
        }
    }

    async fn formatted(&self, r#type: String) -> Result<String> {
        self.server.call(&token)?;
        Ok(format!("{type}"))
    }

    /// A call borrows what is an `Fn`.
    async fn called<F>(&self, each: impl Fn(u64) -> u64 + Send, last: F, sink: Box<dyn Fn(u64) + Send>) -> Result<u64>
    where
        F: Fn(u64) -> u64 + Send,
    {
        let calls = self.server.call(&token)?;
        sink(calls);
        Ok(last(each(calls)))
    }

    /// `&` alone does not borrow.
    #[allow(clippy::used_underscore_binding, reason = "it fires without the attribute too")]
    async fn moved(&self, a: BTreeSet<u64>, _b: BTreeSet<u64>) -> Result<usize> {
        self.server.call(&token)?;
        Ok((&a & &_b).len() + a.len() + _b.into_iter().count())
    }

    async fn opaque(
        &self,
        id: impl Display + Clone + Send,
        each: impl Fn(u64) -> u64 + Clone + Send,
    ) -> Result<String> {
        let calls = self.server.call(&token)?;
        Ok(format!("{id} {}", each(calls)))
    }

    async fn dynamic(&self, id: &(dyn Display + Sync), sink: &mut (dyn FnMut(u64) + Send)) -> Result<String> {
        sink(self.server.call(&token)?);
        Ok(id.to_string())
    }

    async fn destructured(&self, Page { number, mut size }: Page, (a, _): (u64, u64), [b]: &[u64; 1]) -> Result<u64> {
        size += 1;
        self.server.call(&token)?;
        Ok(number + size + a + b)
    }

    async fn mutable(&self, mut name: String, mut rest: &str) -> Result<String> {
        name.push_str(rest);
        rest = "";
        self.server.call(&token)?;
        name.push_str(rest);
        Ok(name)
    }

    async fn ignored(&self, _: String, _also: u8) -> Result<u64> {
        self.server.call(&token)
    }

    async fn conditional(&self, #[cfg(test)] there: String, #[cfg(not(test))] absent: Absent) -> Result<String> {
        self.server.call(&token)?;
        Ok(there)
    }

    async fn linted(
        &self,
        #[expect(unused_variables, reason = "the attribute must keep this expectation")] unused: Once,
    ) -> Result<u64> {
        self.server.call(&token)
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    assert_eq!(assert_send(api.opaque(7, |calls| calls * 10)).await.unwrap(), "7 20");
    let mut seen = 0;
    assert_eq!(assert_send(api.dynamic(&8, &mut |calls| seen = calls)).await.unwrap(), "8");
    assert_eq!(seen, 3);
    assert_eq!(assert_send(api.destructured(Page { number: 1, size: 2 }, (3, 4), &[5])).await.unwrap(), 12);
    assert_eq!(assert_send(api.mutable("a".to_owned(), "b")).await.unwrap(), "ab");
    assert_eq!(assert_send(api.ignored(String::new(), 0)).await.unwrap(), 6);
    assert_eq!(assert_send(api.conditional("there".to_owned())).await.unwrap(), "there");
    assert_eq!(assert_send(api.linted(Once::new(0))).await.unwrap(), 8);
    let api = || async { Api { session: session().await, server: Server::default() } };
    let once = || Once::new(1);
    assert_eq!(assert_send(api().await.not_used(once(), "text")).await.unwrap(), 2);
    assert_eq!(assert_send(api().await.borrowed(once(), once(), "a".to_owned())).await.unwrap(), "2 1 1a");
    assert_eq!(assert_send(api().await.borrowed_in_a_future(once())).await.unwrap(), 1);
    let [a, b, c] = [10, 1, 2].map(Once::new);
    let sink = Box::new(move |calls| assert_eq!(calls, read(&c)));
    let called = async { api().await.called(move |n| n * read(&a), move |n| n + read(&b), sink).await };
    assert_eq!(assert_send(called).await.unwrap(), 21);
    assert_eq!(assert_send(api().await.formatted("a".to_owned())).await.unwrap(), "a");
    assert_eq!(assert_send(api().await.moved(BTreeSet::from([1, 2]), BTreeSet::from([2]))).await.unwrap(), 4);
}
