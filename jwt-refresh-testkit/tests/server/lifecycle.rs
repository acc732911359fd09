//! Starting and stopping servers: from synchronous and asynchronous code, several at a time, with
//! all sockets closed at the end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};

/// Sends a `GET` by hand, as a script without an async runtime would.
fn get(server: &TestServer, path: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn refuses_connections(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_err()
}

#[test]
fn the_server_needs_no_runtime_of_the_caller() {
    let server = TestServer::start();
    let answer = get(&server, "/challenges/api/auth/jwt-with-refresh");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn the_server_starts_and_stops_inside_a_runtime() {
    let server = TestServer::start();
    let answer = reqwest::get(server.url("/api/v1/products/1")).await;
    assert_eq!(answer.expect("an answer").status(), 401);
    let addr = server.addr();
    drop(server);
    assert!(refuses_connections(addr));
}

#[test]
fn the_urls_contain_the_address() {
    let server = TestServer::start();
    assert!(server.addr().ip().is_loopback());
    assert_eq!(server.base_url(), format!("http://{}", server.addr()));
    assert_eq!(server.url("/x"), format!("{}/x", server.base_url()));
}

#[tokio::test]
async fn dropping_the_server_ends_hanging_requests() {
    let server = TestServer::start();
    let forever = Duration::from_secs(24 * 3600);
    server.inject(Endpoint::Any, Fault::Hang(forever), Times::Always);
    let hanging = tokio::spawn(reqwest::get(server.url("/api/v1/products/1")));
    while server.stats().faults == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(server);
    let outcome = hanging.await.expect("no panic");
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn servers_share_no_state() {
    let servers: Vec<_> = (0..8).map(|_| TestServer::start()).collect();
    get(&servers[3], "/api/v1/products/1");
    let rejected: Vec<_> = servers.iter().map(|s| s.stats().rejected).collect();
    assert_eq!(rejected, [0, 0, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn the_server_can_be_used_from_several_threads() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| get(&server, "/api/v1/products/1"));
        }
    });
    assert_eq!(server.stats().rejected, 4);
}

#[test]
fn debug_output_does_not_contain_credentials() {
    let builder = TestServer::builder().account("bob@example.com", "hunter2");
    let shown = format!("{builder:?}");
    let server = builder.start();
    let shown = format!("{shown}{server:?}");
    for secret in ["hunter2", server.password(), server.secret()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
#[should_panic(expected = "no account \"nobody@example.com\"")]
fn banning_an_unknown_account_panics() {
    TestServer::start().ban("nobody@example.com");
}
