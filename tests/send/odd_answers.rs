//! Answers of an API that are odd beside what they say of the token.

use futures_util::future::BoxFuture;
use futures_util::stream;
use jwt_refresh::{ExecuteError, RequestAuth, RequestRule, Session};
use jwt_refresh_testkit::{Answer, Route, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[cfg(feature = "tower")]
use crate::PRODUCT;
use crate::clients::clients;
#[cfg(feature = "tower")]
use crate::support::BoxError;
use crate::support::{MINUTE, World, http_client};
use crate::{Cost, cost};

/// What an API does with a connection, given the head of the request.
type Serve = fn(&str, TcpStream) -> Served;

type Served = BoxFuture<'static, std::io::Result<()>>;

/// Starts an API that treats the first connection and those after it like this. Returns its URL.
async fn api(first: Serve, others: Serve) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut serve = first;
        while let Ok((mut stream, _)) = listener.accept().await {
            let now = std::mem::replace(&mut serve, others);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                now(&String::from_utf8(head).unwrap().to_ascii_lowercase(), stream).await
            });
        }
    });
    url
}

async fn write(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn served(_: &str, stream: TcpStream) -> Served {
    Box::pin(async { write(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await })
}

fn rejected(_: &str, stream: TcpStream) -> Served {
    Box::pin(async {
        write(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
    })
}

/// A 401 whose body is sent for as long as it is read.
fn endless_401(_: &str, mut stream: TcpStream) -> Served {
    Box::pin(async move {
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        loop {
            stream.write_all(format!("2000\r\n{}\r\n", " ".repeat(0x2000)).as_bytes()).await?;
        }
    })
}

/// A 401 whose body never comes.
fn silent_401(_: &str, mut stream: TcpStream) -> Served {
    Box::pin(async move {
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 1000\r\n\r\n").await?;
        let _ = stream.read_u8().await;
        Ok(())
    })
}

fn rule(url: &str) -> RequestRule {
    RequestRule::for_origin(url).unwrap()
}

async fn retries_past_the_body(runtime: &str) {
    for first in [endless_401 as Serve, silent_401] {
        for (name, client) in clients::<Session>() {
            let (world, url) = (World::new(), api(first, served).await);
            let client = client(world.logged_in().await, rule(&url));
            let answered = tokio::time::timeout(MINUTE, client.get(format!("{url}/orders"))).await;
            assert_eq!(answered.expect(name).unwrap(), 200, "{name} {runtime}");
            assert_eq!(world.server.stats().refreshes, 1, "{name} {runtime}");
        }
    }
}

#[tokio::test]
async fn a_401_whose_body_has_no_end_is_not_read_before_the_retry() {
    retries_past_the_body("on one thread").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_401_whose_body_has_no_end_is_not_read_before_the_retry_on_several_threads() {
    retries_past_the_body("on several threads").await;
}

#[tokio::test]
async fn a_401_with_several_challenges_is_read_as_a_whole() {
    for (challenges, refreshes) in [
        (&["Basic realm=\"a\"", "Bearer error=\"invalid_token\""][..], 1),
        (&["DPoP algs=\"ES256\"", "Bearer"], 1),
        (&["Negotiate", "Bearer error=\"insufficient_scope\"", "DPoP error=\"invalid_token\""], 1),
        (&["Basic", "Bearer error=\"insufficient_scope\", scope=\"a\"", "DPoP algs=\"ES256\""], 0),
        // The token is bound to no key, so there was no proof.
        (&["DPoP error=\"use_dpop_nonce\"", "Bearer"], 1),
    ] {
        for (name, client) in clients::<Session>() {
            // A method that shows its answer does not show whether its token is bound to a key.
            if name == "attribute" && challenges[0].contains("use_dpop_nonce") {
                continue;
            }
            let lines: Vec<_> = challenges.iter().map(|value| format!("www-authenticate: {value}\r\n")).collect();
            let lines = lines.concat();
            let text = format!("HTTP/1.1 401 Unauthorized\r\n{lines}content-length: 0\r\nconnection: close\r\n\r\n");
            let world = World::new();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move {
                let mut answers =
                    vec!["HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(), text];
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    write(stream, &answers.pop().unwrap()).await.unwrap();
                }
            });
            let client = client(world.logged_in().await, rule(&url));
            let answered = client.get(format!("{url}/orders")).await;
            assert_eq!(world.server.stats().refreshes, refreshes, "{name} {challenges:?}");
            assert_eq!(answered.is_ok_and(|status| status == 200), refreshes == 1, "{name} {challenges:?}");
        }
    }
}

#[tokio::test]
async fn a_retry_that_is_not_answered_ends_in_that_error_and_the_new_token_stays() {
    fn closed(_: &str, stream: TcpStream) -> Served {
        drop(stream);
        Box::pin(async { Ok(()) })
    }
    for (name, client) in clients::<Session>() {
        let (world, url) = (World::new(), api(rejected, closed).await);
        let session = world.logged_in().await;
        let client = client(session.clone(), rule(&url));
        let error = client.get(format!("{url}/orders")).await.unwrap_err();
        let is_ours = error.downcast_ref::<jwt_refresh::Error>().is_some()
            || matches!(error.downcast_ref::<ExecuteError>(), Some(ExecuteError::Auth(_)));
        assert!(!is_ours, "{name}: {error:?}");
        assert_eq!(world.server.stats().refreshes, 1, "{name}");
        session.token().await.unwrap();
        assert_eq!(world.server.stats().refreshes, 1, "{name}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_rejected_is_made_again_and_the_connection_is_the_callers() {
    fn switched(head: &str, mut stream: TcpStream) -> Served {
        assert!(head.contains("upgrade: websocket") && head.contains("authorization: bearer"), "{head}");
        Box::pin(async move {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).await?;
            let mut said = [0; 4];
            stream.read_exact(&mut said).await?;
            stream.write_all(&said).await
        })
    }
    let (world, url) = (World::new(), api(rejected, switched).await);
    let auth = RequestAuth::new(world.logged_in().await, rule(&url));
    let http = http_client();
    let request = http.get(format!("{url}/socket")).header("connection", "upgrade").header("upgrade", "websocket");
    let answer = auth.execute(&http, request.build().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 101);
    let mut socket = answer.upgrade().await.unwrap();
    let mut said = [0; 9];
    socket.read_exact(&mut said[..5]).await.unwrap();
    socket.write_all(b"ping").await.unwrap();
    socket.read_exact(&mut said[5..]).await.unwrap();
    assert_eq!(&said, b"helloping");
    assert_eq!(world.server.stats().refreshes, 1);
}

#[tokio::test]
async fn a_body_that_fails_while_it_is_read_says_nothing_about_the_token() {
    let world = World::with(TestServer::builder().route(Route::post("/orders", |_| Answer::new(201))).start());
    let session = world.logged_in().await;
    let http = http_client();
    for pieces in [vec![Err(std::io::Error::other("gone"))], vec![Ok("a"), Err(std::io::Error::other("gone"))]] {
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let request = http.post(world.server.url("/orders")).body(body).build().unwrap();
        let error = session.execute(&http, request).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Http(_)), "{error:?}");
    }
    #[cfg(feature = "tower")]
    for pieces in [vec![Err("gone")], vec![Ok("a"), Err("gone")], vec![Ok("a"), Ok("b"), Err("gone")]] {
        use tower::ServiceExt as _;

        let frames = pieces.into_iter().map(|piece| piece.map(|text: &str| http_body::Frame::data(text.as_bytes())));
        let body = http_body_util::StreamBody::new(stream::iter(frames));
        let client = crate::clients::layered(RequestAuth::new(session.clone(), world.rule()));
        let request = http::Request::post(world.server.url("/orders")).body(body).unwrap();
        let error: BoxError = client.oneshot(request).await.unwrap_err();
        assert!(error.downcast_ref::<jwt_refresh::Error>().is_none(), "{error:?}");
    }
    let Cost { rejected, logins, refreshes, .. } = cost(&world.server);
    assert_eq!((rejected, logins, refreshes), (0, 1, 0));
}

#[cfg(feature = "ureq")]
#[tokio::test]
async fn a_body_that_the_server_did_not_want_yet_is_sent_with_the_next_token() {
    fn rejected(head: &str, stream: TcpStream) -> Served {
        assert!(head.contains("expect: 100-continue"), "{head}");
        Box::pin(async {
            write(stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
        })
    }
    fn continued(head: &str, mut stream: TcpStream) -> Served {
        assert!(head.contains("expect: 100-continue"), "{head}");
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            let mut body = [0; 6];
            stream.read_exact(&mut body).await?;
            assert_eq!(&body, b"a body");
            write(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
        })
    }
    let (world, url) = (World::new(), api(rejected, continued).await);
    let auth = RequestAuth::new(world.logged_in().await, rule(&url));
    let request = http::Request::post(format!("{url}/orders")).header("expect", "100-continue").body("a body").unwrap();
    let sent = tokio::task::spawn_blocking(move || auth.run(&ureq::agent(), request).map(|answer| answer.status()));
    assert_eq!(sent.await.unwrap().unwrap(), 200);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn of_two_layers_the_outer_one_has_its_origin_and_the_inner_one_the_others() {
    use tower::{Layer as _, ServiceExt as _};

    let (outer, inner) = (World::new(), World::new());
    let (mine, others) = (outer.logged_in().await, inner.logged_in().await);
    let both = inner.rule().and_origin(outer.server.base_url()).unwrap();
    let client = RequestAuth::new(mine.clone(), outer.rule())
        .layer(crate::clients::layered(RequestAuth::new(others.clone(), both)));
    let get = async |world: &World| {
        let request = http::Request::get(world.server.url(PRODUCT)).body(crate::clients::Body::default()).unwrap();
        client.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((get(&outer).await, get(&inner).await), (200, 200));
    outer.server.rotate_signing_key();
    inner.server.rotate_signing_key();
    assert_eq!((get(&outer).await, get(&inner).await), (200, 200));
    for world in [&outer, &inner] {
        assert_eq!(cost(&world.server), Cost { calls: 2, rejected: 1, logins: 1, refreshes: 1 });
    }
}
