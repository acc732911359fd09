//! A resource that names its authorization server, which registers clients.

use jwt_refresh::oauth::OAuth;
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Policy, RequestRule, Session};

use crate::browser;
use crate::scenario::JWT;
use crate::server::Server;
use crate::support::{MINUTE, http_client};

fn session(server: &Server, store: &MemoryStore) -> Session {
    let login = OAuth::mcp(format!("{}/mcp", server.url()), browser::grant()).build().unwrap();
    let rule = RequestRule::for_origin(server.url()).unwrap();
    let policy = Policy::default().login_timeout(MINUTE);
    Session::builder(login).policy(policy).requests(rule).store(store.clone(), "ada").build()
}

#[tokio::test]
async fn a_client_that_registers_itself_logs_in_and_refreshes_also_after_a_restart() {
    let server = Server::start(JWT.software).await;
    let store = MemoryStore::new();
    for _ in 0..2 {
        let session = session(&server, &store);
        let http = http_client();
        for _ in 0..2 {
            let request = http.post(format!("{}/mcp", server.url())).build().unwrap();
            assert_eq!(session.execute(&http, request).await.unwrap().status(), 200);
            session.refresh_now().await.unwrap();
        }
        session.flush().await;
    }
    let stats = server.stats().await;
    assert_eq!((stats.logins, stats.refreshes, stats.refused, stats.revoked_grants), (1, 4, 0, 0), "{stats:?}");
}
