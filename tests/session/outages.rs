//! The auth server is back after an outage: how soon calls succeed, and what it was sent meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticatorBuilder, Session, Tokens};
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::is_ready;
use crate::support::{PAST_EXPIRY, SECOND, World, login_at, until};

const STEP: Duration = Duration::from_millis(50);

/// A gateway before the auth server. While the server is down, it answers 502.
struct Gateway {
    address: SocketAddr,
    is_down: Arc<AtomicBool>,
    /// How many requests it has answered itself that had a body: credentials.
    refused: Arc<AtomicU32>,
}

impl Gateway {
    async fn before(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_down, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        tokio::spawn(serve(listener, server.addr(), Arc::clone(&is_down), Arc::clone(&refused)));
        Self { address, is_down, refused }
    }

    fn login(&self, server: &TestServer) -> HttpAuthenticatorBuilder {
        login_at(&format!("http://{}", self.address), server.email(), server.password())
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, is_down: Arc<AtomicBool>, refused: Arc<AtomicU32>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (is_down, refused) = (Arc::clone(&is_down), Arc::clone(&refused));
        tokio::spawn(async move {
            if !is_down.load(Ordering::SeqCst) {
                let mut server = TcpStream::connect(server).await?;
                return copy_bidirectional(&mut client, &mut server).await.map(drop);
            }
            let mut request = [0; 4096];
            let length = client.read(&mut request).await?;
            refused.fetch_add(u32::from(!request[..length].starts_with(b"HEAD ")), Ordering::SeqCst);
            let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            client.write_all(answer).await
        });
    }
}

/// Lets time pass on the clocks of the server and of the session, and nothing else, however slow
/// the machine is.
fn pass(world: &World, time: Duration) {
    world.server.advance(time);
    world.clock.advance(time);
}

/// Calls every 50 ms of the session's time for so long. Returns how long it took until a call
/// succeeded, if one did.
async fn call_for(world: &World, session: &Session, time: Duration) -> Option<Duration> {
    let mut passed = Duration::ZERO;
    while passed < time {
        if session.token().await.is_ok() {
            return Some(passed);
        }
        pass(world, STEP);
        passed += STEP;
    }
    None
}

#[tokio::test]
async fn after_an_outage_behind_a_gateway_calls_succeed_within_a_second_and_few_passwords_were_sent() {
    let world = World::new();
    let gateway = Gateway::before(&world.server).await;
    for outage in [3, 12, 29] {
        let session = Session::builder(gateway.login(&world.server).build().unwrap())
            .clock(&world.clock)
            .connect()
            .await
            .unwrap();
        let before = gateway.refused.load(Ordering::SeqCst);
        pass(&world, PAST_EXPIRY);
        gateway.set_down(true);
        assert_eq!(call_for(&world, &session, outage * SECOND).await, None);
        gateway.set_down(false);
        let took = call_for(&world, &session, 20 * SECOND).await.expect("a call succeeds");
        assert!(took <= SECOND, "{took:?} after an outage of {outage} s");
        // One refresh, after which the refresh token is in doubt, and then logins.
        let sent = gateway.refused.load(Ordering::SeqCst) - before;
        assert!((2..=8).contains(&sent), "{sent} requests with credentials in {outage} s");
        assert_eq!(world.server.stats().reuses, 0);
    }
}

#[tokio::test]
async fn after_an_outage_that_leaves_the_refresh_token_sound_calls_succeed_within_a_second() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    for outage in [3, 12, 29] {
        pass(&world, PAST_EXPIRY);
        world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
        assert_eq!(call_for(&world, &session, outage * SECOND).await, None);
        let before = world.server.stats();
        world.server.clear_faults();
        let took = call_for(&world, &session, 20 * SECOND).await.expect("a call succeeds");
        assert!(took <= SECOND, "{took:?} after an outage of {outage} s");
        assert_eq!(world.server.stats().since(&before).logins, 0);
    }
    assert_eq!(world.server.stats().logins, 1);
}

#[tokio::test]
async fn after_a_long_outage_calls_succeed_within_a_tenth_of_it() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    pass(&world, PAST_EXPIRY);
    world.server.inject(Endpoint::Refresh, Fault::Status(503), Times::Always);
    let before = world.server.stats();
    assert_eq!(call_for(&world, &session, 80 * SECOND).await, None);
    let sent = world.server.stats().since(&before).auth_requests;
    assert!(sent <= 75, "{sent} requests");
    world.server.clear_faults();
    let took = call_for(&world, &session, 20 * SECOND).await.expect("a call succeeds");
    assert!(took <= 8 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it_from_an_explicit_login_too() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let busy = Fault::TooManyRequests { retry_after: 20 * SECOND };
    world.server.inject(Endpoint::Any, busy.clone(), Times::Once);
    pass(&world, PAST_EXPIRY);
    session.token().await.unwrap_err();
    let before = world.server.stats();
    for _ in 0..19 {
        let error = session.login().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some_and(|wait| wait <= 20 * SECOND));
        session.token().await.unwrap_err();
        pass(&world, SECOND);
    }
    assert_eq!(world.server.stats().since(&before).auth_requests, 0);
    pass(&world, SECOND);
    session.login().await.unwrap();

    // Also if it was a login that it answered so, and whatever becomes of a refresh meanwhile.
    world.server.inject(Endpoint::Login, busy, Times::Once);
    session.login().await.unwrap_err();
    pass(&world, 11 * SECOND);
    let before = world.server.stats();
    session.login().await.unwrap_err();
    assert_eq!(world.server.stats().since(&before).auth_requests, 0);
    pass(&world, 10 * SECOND);
    session.login().await.unwrap();
}

/// Says nothing about whether it is back, as authenticators of users do.
struct Silent {
    is_down: AtomicBool,
    logins: AtomicU32,
}

impl Authenticator for Silent {
    async fn login(&self) -> Result<Tokens, Error> {
        self.logins.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unreachable, "down"));
        }
        Ok(Tokens::new("token")?.expires_in(60 * SECOND))
    }
}

#[tokio::test]
async fn without_a_way_to_ask_a_password_is_not_sent_early() {
    let world = World::new();
    let silent = Arc::new(Silent { is_down: AtomicBool::new(true), logins: AtomicU32::new(0) });
    let session = Session::builder(Arc::clone(&silent)).clock(&world.clock).build();
    assert_eq!(call_for(&world, &session, 30 * SECOND).await, None);
    let logins = silent.logins.load(Ordering::SeqCst);
    assert!((5..=9).contains(&logins), "{logins}");
    silent.is_down.store(false, Ordering::SeqCst);
    assert!(call_for(&world, &session, 60 * SECOND).await.is_some());
}

#[tokio::test]
async fn a_session_that_is_kept_fresh_is_renewed_without_a_call_after_its_token_has_expired_in_an_outage() {
    let world = World::new();
    let session = world.session().keep_fresh().connect().await.unwrap();
    world.server.inject(Endpoint::Any, Fault::Status(503), Times::Always);
    for _ in 0..200 {
        pass(&world, SECOND / 2);
        // The session notices on its own threads that time has passed.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(!is_ready(&session));
    world.server.clear_faults();
    until("the session has a new token", async || {
        pass(&world, SECOND);
        is_ready(&session)
    })
    .await;
}
