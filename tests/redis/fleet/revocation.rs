//! What a revocation that hangs costs: its time-out and no more.

use std::sync::Arc;
use std::time::Duration;

use jwt_refresh::pool::Account;
use jwt_refresh::{Authenticator, Error, Policy, RefreshToken, Tokens};
use tokio::sync::Semaphore;

use super::{World, policy};
use crate::support::SECOND;

/// Logs in when it is allowed to, and never answers a revocation.
#[derive(Clone)]
struct HangsAtRevocation {
    /// Released when a login has begun.
    begun: Arc<Semaphore>,
    /// Lets a login end.
    answer: Arc<Semaphore>,
    /// Released when a revocation has begun.
    revoked: Arc<Semaphore>,
}

impl Authenticator for HangsAtRevocation {
    async fn login(&self) -> Result<Tokens, Error> {
        self.begun.add_permits(1);
        self.answer.acquire().await.unwrap().forget();
        Ok(Tokens::new("access")?.refresh_token("refresh"))
    }

    async fn revoke(&self, _: &RefreshToken) -> Result<(), Error> {
        self.revoked.add_permits(1);
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_revocation_that_hangs_ends_after_the_refresh_timeout_and_close_does_too() {
    let world = World::new(0).await;
    let none = || Arc::new(Semaphore::new(0));
    let authenticator = HangsAtRevocation { begun: none(), answer: none(), revoked: none() };
    let HangsAtRevocation { begun, answer, revoked } = authenticator.clone();
    let tokens = Policy::default().refresh_timeout(SECOND / 2);
    let worker = world.builder().policy(policy().tokens(tokens)).account(Account::new("a0", authenticator));
    let worker = worker.build().unwrap();
    begun.acquire().await.unwrap().forget();

    // The account is removed while it logs in, so what the login brings is revoked.
    assert!(worker.remove("a0").await.unwrap());
    answer.add_permits(1);
    revoked.acquire().await.unwrap().forget();
    tokio::time::timeout(Duration::from_secs(20), worker.close(SECOND)).await.expect("`close` ends");
}
