// The first `async` block to run must hold the guard: in each of these bodies, another future runs
// before the block, or may do so.
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jwt_refresh::{Error, Session, refresh_token};

struct Api {
    session: Session,
}

async fn both(first: impl Future, second: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    first.await;
    second.await
}

#[refresh_token]
impl Api {
    #[refresh_token(skip)]
    async fn send(&self) -> Result<(), Error> {
        Ok(())
    }

    fn in_a_closure(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.send().then(move |result| async move { result }))
    }

    fn second_of_two(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(both(async move {}, async move { Ok(()) }))
    }

    fn argument_of_a_method(&self) -> impl Future<Output = Result<(), Error>> {
        self.send().then(|_| self.send())
    }
}

// What a call makes of the block cannot be seen.
struct Reply;

fn reply(_: impl Future<Output = Result<(), Error>>) -> Reply {
    Reply
}

#[refresh_token]
impl Api {
    fn unclear(&self) -> Reply {
        reply(async move { Ok(()) })
    }

    async fn clear(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {}
