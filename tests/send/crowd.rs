//! Ten thousand requests at once, through each client: of those that block a thread, ten thousand
//! threads.

use std::borrow::Borrow;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use jwt_refresh::Renewal;
use jwt_refresh::prelude::*;
use jwt_refresh_testkit::TestServer;
use tokio::sync::{Barrier, OwnedSemaphorePermit, Semaphore};

use crate::clients::{can_be_cancelled, clients};
use crate::support::{SECOND, World};
use crate::{Cost, PRODUCT, cost};

const REQUESTS: usize = 10_000;

/// On a busy machine this takes longer than the minute that a token usually lives.
const LIFETIME: Duration = Duration::from_secs(1800);

/// Each connection is two descriptors of this process, which may have a thousand.
const CONNECTIONS: usize = 100;

/// Room for a request of any client in a debug build.
const STACK: usize = 256 * 1024;

/// Lets all requests ask for their token at once, and sends none before all have it.
#[derive(Clone)]
struct Crowd {
    session: Session,
    all: Arc<Barrier>,
    connections: Arc<Semaphore>,
}

#[derive(Clone)]
struct TokenAndConnection(AccessToken, Arc<OwnedSemaphorePermit>);

impl Borrow<AccessToken> for TokenAndConnection {
    fn borrow(&self) -> &AccessToken {
        &self.0
    }
}

impl TokenProvider for Crowd {
    type Token = TokenAndConnection;

    fn fresh(&self) -> Renewal<TokenAndConnection> {
        let Self { session, all, connections } = self.clone();
        Box::pin(async move {
            all.wait().await;
            let token = session.token().await?;
            all.wait().await;
            Ok(TokenAndConnection(token, Arc::new(connections.acquire_owned().await.unwrap())))
        })
    }

    fn rejected(&self, token: &TokenAndConnection) -> Renewal<TokenAndConnection> {
        let renewal = self.session.rejected(&token.0);
        let connection = Arc::clone(&token.1);
        Box::pin(async move { Ok(TokenAndConnection(renewal.await?, connection)) })
    }
}

#[test]
fn ten_thousand_requests_that_come_to_an_expired_token_at_once_make_one_refresh() {
    assert_one_refresh(0, |world| world.pass(LIFETIME + SECOND));
}

#[test]
fn ten_thousand_requests_that_are_rejected_at_once_make_one_refresh() {
    assert_one_refresh(1, |world| world.server.rotate_signing_key());
}

/// Sends requests with a token that `spoil` made useless, and compares what they cost if each is
/// rejected `rejections` times.
fn assert_one_refresh(rejections: u64, spoil: fn(&World)) {
    // The threads of two crowds may be more than the system allows.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = possible_threads(REQUESTS);
    for (name, client) in clients::<Crowd>() {
        let requests = if can_be_cancelled(name) { REQUESTS } else { threads };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .max_blocking_threads(requests)
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .unwrap();
        let world = World::with(TestServer::builder().access_lifetime(LIFETIME).start());
        let (all, connections) = (Arc::new(Barrier::new(requests)), Arc::new(Semaphore::new(CONNECTIONS)));
        let crowd = Crowd { session: runtime.block_on(world.logged_in()), all, connections };
        spoil(&world);
        let client = client(crowd, world.rule());
        runtime.block_on(async {
            let get = |_| {
                let (client, url) = (Arc::clone(&client), world.server.url(PRODUCT));
                tokio::spawn(async move { client.get(url).await.unwrap() })
            };
            for sent in (0..requests).map(get).collect::<Vec<_>>() {
                assert_eq!(sent.await.unwrap(), 200, "{name}");
            }
        });
        let calls = requests as u64;
        let expected = Cost { calls, rejected: rejections * calls, logins: 1, refreshes: 1 };
        assert_eq!(cost(&world.server), expected, "{name}");
    }
}

/// Returns how many threads there can be at once, up to `wanted`. Where the system gives fewer,
/// this leaves it half of them, and says so.
fn possible_threads(wanted: usize) -> usize {
    let mut waiting = Vec::with_capacity(wanted);
    while waiting.len() < wanted {
        let (release, released) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || released.recv().is_err());
        let Ok(thread) = thread else { break };
        waiting.push((thread, release));
    }
    let possible = waiting.len();
    for (thread, release) in waiting {
        drop(release);
        thread.join().unwrap();
    }
    if possible == wanted {
        return wanted;
    }
    println!("{} threads in place of {wanted}: the system allows {possible}", possible / 2);
    possible / 2
}
