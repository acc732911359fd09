use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::authenticator::Authenticator;
use crate::error::{Error, ErrorKind};
use crate::session::Session;
use crate::store::MemoryStore;
use crate::token::{AccessParameters, RefreshToken, Tokens};

/// A server that counts what it is sent, and answers no request for a [held](Self::held) token
/// before it is let.
struct Server {
    logins: AtomicUsize,
    refreshes: AtomicUsize,
    others: AtomicUsize,
    let_go: Semaphore,
}

impl Server {
    fn start() -> Arc<Self> {
        let [logins, refreshes, others] = [(); 3].map(|()| AtomicUsize::new(0));
        Arc::new(Self { logins, refreshes, others, let_go: Semaphore::new(0) })
    }

    fn held() -> AccessParameters {
        AccessParameters::for_audience("held")
    }

    /// The answer to a request for such a token is lost.
    fn lost() -> AccessParameters {
        AccessParameters::for_audience("lost")
    }

    /// Returns how many logins, refreshes, and refreshes for other tokens it was sent.
    fn sent(&self) -> [usize; 3] {
        [&self.logins, &self.refreshes, &self.others].map(|count| count.load(Ordering::SeqCst))
    }
}

fn tokens(access: String, refresh: &str) -> Tokens {
    Tokens::new(access).unwrap().refresh_token(refresh).expires_in(Duration::from_secs(3600))
}

impl Authenticator for Server {
    async fn login(&self) -> Result<Tokens, Error> {
        let number = self.logins.fetch_add(1, Ordering::SeqCst);
        Ok(tokens(format!("own-{number}"), "refresh"))
    }

    async fn refresh(&self, _: &RefreshToken) -> Result<Tokens, Error> {
        let number = self.refreshes.fetch_add(1, Ordering::SeqCst);
        Ok(tokens(format!("refreshed-{number}"), &format!("after-refresh-{number}")))
    }

    async fn refresh_for(&self, _: &RefreshToken, parameters: &AccessParameters) -> Result<Tokens, Error> {
        let number = self.others.fetch_add(1, Ordering::SeqCst);
        if *parameters == Self::held() {
            self.let_go.acquire().await.unwrap().forget();
        }
        if *parameters == Self::lost() {
            return Err(Error::new(ErrorKind::Unanswered, "the answer was lost"));
        }
        Ok(tokens(format!("other-{number}"), &format!("after-other-{number}")))
    }
}

fn session(server: &Arc<Server>, store: &MemoryStore) -> Session {
    Session::builder(Arc::clone(server)).store(store.clone(), "ada").build()
}

async fn until(mut is_done: impl FnMut() -> bool) {
    let wait = async {
        while !is_done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}

/// The refresh token that another process is about to replace is in doubt until the store has the
/// next one, which is no reason to renew the session's own token.
#[tokio::test]
async fn a_token_that_is_asked_for_while_another_process_refreshes_costs_one_request() {
    let (server, store) = (Server::start(), MemoryStore::new());
    let one = session(&server, &store);
    let own = one.token().await.unwrap();
    let held = one.access_for(Server::held());
    let held = tokio::spawn(async move { held.token().await });
    until(|| server.sent()[2] == 1).await;

    let two = session(&server, &store);
    assert_eq!(two.token().await.unwrap().expose(), own.expose());
    assert!(!two.0.cell.lock().credential().is_valid());
    let orders = two.audience("orders");
    let asks = tokio::spawn(async move { orders.token().await });
    until(|| two.0.cell.lock().running_renewal().is_some()).await;
    server.let_go.add_permits(1);
    held.await.unwrap().unwrap();
    asks.await.unwrap().unwrap();
    assert_eq!(server.sent(), [1, 0, 2]);
}

/// Between the moment at which an API rejects a token and that at which the next is asked for.
#[tokio::test]
async fn a_token_that_is_followed_before_the_next_is_asked_for_is_the_answer() {
    let (server, store) = (Server::start(), MemoryStore::new());
    let (one, two) = (session(&server, &store), session(&server, &store));
    let orders = AccessParameters::for_audience("orders");
    let rejected = one.access_for(orders.clone()).token().await.unwrap();
    assert_eq!(two.access_for(orders.clone()).token().await.unwrap().expose(), rejected.expose());

    let replaced = Arc::clone(&one.0).other_access(&orders).await;
    assert_eq!(replaced.unwrap().token.expose(), rejected.expose(), "it was not rejected yet");
    let child = one.access_for(orders.clone());
    crate::provider::TokenProvider::rejected(&child, &child.token().await.unwrap()).await.unwrap();
    let replaced = child.token().await.unwrap();
    two.0.follow_store().await.unwrap();
    let answer = Arc::clone(&two.0).other_access(&orders).await.unwrap();
    assert_eq!(answer.token.expose(), replaced.expose());
    assert_eq!(server.sent(), [1, 0, 2]);
}

#[tokio::test]
async fn all_who_ask_while_the_refresh_token_is_in_doubt_get_their_tokens_after_one_login() {
    for _ in 0..20 {
        let (server, store) = (Server::start(), MemoryStore::new());
        let one = session(&server, &store);
        one.access_for(Server::lost()).token().await.unwrap_err();

        let two = session(&server, &store);
        two.token().await.unwrap();
        assert!(!two.0.cell.lock().credential().is_valid());
        let mut asks = tokio::task::JoinSet::new();
        for audience in ["a", "b", "c", "d"] {
            let child = two.audience(audience);
            asks.spawn(async move { child.token().await });
        }
        for token in asks.join_all().await {
            token.unwrap();
        }
        let [logins, _, others] = server.sent();
        assert_eq!((logins, others), (2, 5));
    }
}
