//! The receiver of tokens, for connections that live long.

use futures_util::{FutureExt, StreamExt};
use jwt_refresh::{Bearer, Event, Session, Tokens};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{accept_hdr_async, connect_async};

use crate::support::{PAST_EXPIRY, World, until};

#[tokio::test]
async fn the_receiver_has_the_current_token_and_each_new_one_though_nobody_asks() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    let first = updates.next().await.unwrap();
    assert_eq!(first.generation(), session.token().await.unwrap().generation());
    assert!(first.expires_at().unwrap() > world.now());
    for _ in 0..3 {
        assert!(updates.next().now_or_never().is_none(), "there is no newer token yet");
        let refreshes = world.server.stats().refreshes;
        // The timer sees that the clock has passed the refresh-ahead window.
        world.pass(PAST_EXPIRY);
        let next = updates.next().await.unwrap();
        assert!(next.expires_at().unwrap() > world.now());
        assert_eq!(world.call_with(&next).await, 200);
        assert_eq!(world.server.stats().refreshes, refreshes + 1);
    }
}

#[tokio::test]
async fn the_first_token_is_got_by_a_login_and_without_a_receiver_nothing_is_renewed() {
    let world = World::new();
    let session = world.session().build();
    let mut updates = session.updates();
    assert_eq!(updates.next().await.unwrap().generation(), 1);
    drop(updates);
    world.pass(PAST_EXPIRY);
    // A second session that is kept fresh by the same timer has been renewed meanwhile.
    let other = world.session().build();
    let mut others = other.updates();
    others.next().await.unwrap();
    world.pass(PAST_EXPIRY);
    others.next().await.unwrap();
    assert_eq!(session.stats().refreshes, 0);
}

#[tokio::test]
async fn tokens_that_are_adopted_come_too_and_after_a_logout_there_is_none_until_a_login() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    updates.next().await.unwrap();
    session.adopt(Tokens::new("adopted").unwrap()).await.unwrap();
    assert_eq!(updates.next().await.unwrap().expose(), "adopted");
    session.logout().await.unwrap();
    assert!(updates.next().now_or_never().is_none());
    let token = session.login().await.unwrap();
    assert_eq!(updates.next().await.unwrap().generation(), token.generation());
}

#[tokio::test]
async fn after_a_failure_the_token_comes_when_the_server_is_well_again() {
    let world = World::new();
    world.server.ban(world.server.email());
    let session = world.session().build();
    let mut events = session.events();
    let mut updates = session.updates();
    assert!(matches!(events.next().await.unwrap(), Event::ReauthenticationRequired(_)));
    assert!(updates.next().now_or_never().is_none());
    world.server.unban(world.server.email());
    session.login().await.unwrap();
    assert!(updates.next().await.is_some());
}

#[tokio::test]
async fn tokens_that_were_missed_are_passed_over_and_a_dropped_wait_loses_none() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    for _ in 0..3 {
        session.refresh_now().await.unwrap();
    }
    drop(updates.next());
    assert_eq!(updates.next().await.unwrap().generation(), session.token().await.unwrap().generation());
    assert!(updates.next().now_or_never().is_none());
}

#[tokio::test]
async fn the_receiver_ends_with_the_session() {
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let mut updates = session.updates();
    updates.next().await.unwrap();
    let waiting = tokio::spawn(async move { updates.next().await });
    drop(session);
    until("the wait has ended", async || waiting.is_finished()).await;
    assert!(waiting.await.unwrap().is_none());
}

/// Accepts connections, and tells what each has in `Authorization`, and when one has ended.
async fn serve_web_sockets(
    listener: TcpListener,
    seen: mpsc::UnboundedSender<String>,
    ended: mpsc::UnboundedSender<()>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (seen, ended) = (seen.clone(), ended.clone());
        tokio::spawn(async move {
            #[expect(clippy::result_large_err, reason = "the types are those of tungstenite")]
            let note = |request: &Request, response: Response| {
                seen.send(request.headers()["authorization"].to_str().unwrap().to_owned()).unwrap();
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, note).await.unwrap();
            while let Some(Ok(_)) = socket.next().await {}
            ended.send(()).unwrap();
        });
    }
}

/// What the documentation of `Session::updates` shows.
async fn follow(session: &Session, url: String) {
    let mut updates = session.updates();
    let mut current = updates.next().await;
    while let Some(token) = current {
        let mut request = url.as_str().into_client_request().unwrap();
        request.headers_mut().bearer(&token);
        let (mut socket, _) = connect_async(request).await.unwrap();
        tokio::select! {
            () = async { while socket.next().await.is_some() {} } => panic!("the server ended the connection"),
            newer = updates.next() => current = newer,
        }
    }
}

#[tokio::test]
async fn a_web_socket_is_followed_by_another_with_each_new_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/feed", listener.local_addr().unwrap());
    let ((note_seen, mut seen), (note_ended, mut ended)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let server = tokio::spawn(serve_web_sockets(listener, note_seen, note_ended));
    let world = World::new();
    let session = world.session().connect().await.unwrap();
    let client = tokio::spawn({
        let session = session.clone();
        async move { follow(&session, url).await }
    });
    for _ in 0..3 {
        let sent = seen.recv().await.unwrap();
        assert_eq!(sent, format!("Bearer {}", session.token().await.unwrap().expose()));
        world.pass(PAST_EXPIRY);
        ended.recv().await.unwrap();
    }
    client.abort();
    server.abort();
}
