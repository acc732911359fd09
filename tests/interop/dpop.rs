//! Tokens that are bound to a key (DPoP), at a server that wants a nonce in each proof.

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Policy, RequestRule, Session};

use crate::browser;
use crate::scenario::OPAQUE;
use crate::server::Server;
use crate::support::{MINUTE, http_client};

fn session(server: &Server, store: &MemoryStore) -> Session {
    let rule = RequestRule::for_origin(server.url()).unwrap();
    let policy = Policy::default().login_timeout(MINUTE);
    let builder = Session::builder(browser::bound_login(&server.url())).policy(policy).requests(rule);
    builder.store(store.clone(), "ada").build()
}

async fn call(server: &Server, session: &Session) -> u16 {
    let http = http_client();
    let request = http.get(format!("{}/me", server.url())).build().unwrap();
    session.execute(&http, request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_key_of_one_login_proves_refreshes_and_calls_also_of_a_later_session_on_the_store() {
    let server = Server::start(OPAQUE.software).await;
    let store = MemoryStore::new();
    let first = session(&server, &store);
    for _ in 0..3 {
        assert_eq!(call(&server, &first).await, 200);
        first.refresh_now().await.unwrap();
    }
    first.flush().await;
    drop(first);
    let second = session(&server, &store);
    for _ in 0..3 {
        assert_eq!(call(&server, &second).await, 200);
        second.refresh_now().await.unwrap();
    }
    let stats = server.stats().await;
    assert_eq!((stats.logins, stats.refreshes, stats.revoked_grants), (1, 6, 0), "{stats:?}");
    // The token endpoint asks the second session for a nonce. The first one has that of its request
    // to log in. The API asks each session, unless the key is still in use.
    assert!((2..=3).contains(&stats.nonces), "{stats:?}");
    assert_eq!((stats.rejected, stats.refused), (0, 0), "{stats:?}");
    second.logout().await.unwrap();
}
