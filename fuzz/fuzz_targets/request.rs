//! Sends described requests with odd values to a server that answers oddly.
//!
//! The input has lines of values (`path: a/b`), and as the body the bytes that the server answers
//! with: status line, headers and body.
//!
//! A request that is sent has each value in its place and nowhere else: none adds a header, a
//! cookie or a field, or changes the path. Of any answer come tokens, or an error that hides the
//! secret.
#![no_main]

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use jwt_refresh_core::{Authenticator as _, HttpAuthenticator, HttpRequest};
use jwt_refresh_fuzz::{Input, assert_debug_hides, assert_error_hides};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const NAMES: [&str; 6] = ["path", "query", "header", "cookie", "json", "form"];

/// Sent in the place of a request, after the login has ended: it may have sent none.
const END: &[u8] = b"end";

/// A server that gives each connection the answer that it was told, and returns the request.
struct Server {
    port: u16,
    answers: Sender<Vec<u8>>,
    requests: Receiver<Vec<u8>>,
    runtime: Runtime,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, to_send) = channel::<Vec<u8>>();
        let (received, requests) = channel();
        thread::spawn(move || {
            for answer in to_send {
                let mut last = Vec::new();
                loop {
                    let (mut connection, _) = listener.accept().unwrap();
                    // A client may give up; that is no fault of the server.
                    let request = read_request(&mut connection).unwrap_or_default();
                    if request == END {
                        break;
                    }
                    let _ = connection.write_all(&answer);
                    last = request;
                }
                received.send(last).unwrap();
            }
        });
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { port, answers, requests, runtime }
    }
}

fn read_request(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = Vec::new();
    let mut part = [0; 4096];
    while !is_complete(&request) {
        match connection.read(&mut part)? {
            0 => break,
            length => request.extend_from_slice(&part[..length]),
        }
    }
    Ok(request)
}

fn is_complete(request: &[u8]) -> bool {
    if request == END {
        return true;
    }
    let Some((head, body)) = split(request) else { return false };
    let length = headers(head).find(|(name, _)| *name == "content-length").map(|(_, length)| length.parse().unwrap());
    body.len() >= length.unwrap_or(0)
}

fn split(request: &[u8]) -> Option<(&str, &[u8])> {
    let end = request.windows(4).position(|part| part == b"\r\n\r\n")?;
    Some((str::from_utf8(&request[..end]).expect("headers are text"), &request[end + 4..]))
}

fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.split("\r\n").skip(1).map(|line| line.split_once(": ").or(line.split_once(':')).expect("a header"))
}

thread_local! {
    static SERVER: OnceCell<Server> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let input = Input::split(data);
    SERVER.with(|server| {
        let server = server.get_or_init(Server::start);
        let login = HttpRequest::post(format!("http://127.0.0.1:{}/a/{{path}}/b?q={{query}}", server.port))
            .header("x-value", "<{header}>")
            .cookie("first", "{cookie}")
            .cookie("last", "1");
        let login = match input.value("form") {
            Some(_) => login.form_field("f", "{form}").form_field("g", "1"),
            None => login.json_field("f.f", "{json}").json_field("g", 1),
        };
        let login = login.capture("id", "data.id");
        let builder =
            NAMES.iter().fold(HttpAuthenticator::builder(login), |all, name| all.secret(*name, value(&input, name)));
        let api = builder.build().expect("no value is in the description");
        assert_debug_hides(&api);
        server.answers.send(input.body.to_vec()).unwrap();
        match server.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), api.login()).await }) {
            Ok(Ok(tokens)) => assert_debug_hides(&tokens),
            Ok(Err(error)) => assert_error_hides(&error),
            Err(_) => panic!("the login does not end"),
        }
        TcpStream::connect(("127.0.0.1", server.port)).unwrap().write_all(END).unwrap();
        check(&server.requests.recv().unwrap(), &input);
    });
});

/// Returns the value of this name, or else the name itself.
fn value<'a>(input: &Input<'a>, name: &'a str) -> &'a str {
    input.value(name).unwrap_or(name)
}

fn check(request: &[u8], input: &Input<'_>) {
    let Some((head, body)) = split(request) else { return };
    let mut line = head.split("\r\n").next().unwrap().split(' ');
    assert_eq!(line.next(), Some("POST"));
    let (path, query) = line.next().unwrap().split_once("?q=").expect("it has a query");
    assert_eq!((line.next(), line.next()), (Some("HTTP/1.1"), None));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let parts: Vec<_> = path.split('/').map(decoded).collect();
    assert_eq!(parts, ["", "a", value(input, "path"), "b"], "{head}");
    assert_eq!(decoded(query), value(input, "query"), "{head}");

    let expected = ["accept", "content-length", "content-type", "cookie", "host", "x-value"];
    let names: Vec<_> = headers(head).map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert_eq!(names.len(), expected.len(), "{head}");
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected), "{head}");
    let header = |name: &str| headers(head).find(|(found, _)| *found == name).unwrap().1;
    assert_eq!(header("x-value"), format!("<{}>", value(input, "header")));
    let cookies: Vec<_> = header("cookie").split("; ").collect();
    assert_eq!(cookies, [&format!("first={}", value(input, "cookie")), "last=1"], "{head}");
    assert_body(body, input);
}

fn assert_body(body: &[u8], input: &Input<'_>) {
    if input.value("form").is_some() {
        let pairs: Vec<_> = url::form_urlencoded::parse(body).into_owned().collect();
        let expected =
            [("f", value(input, "form")), ("g", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
    } else {
        let expected = serde_json::json!({ "f": { "f": value(input, "json") }, "g": 1 });
        assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), expected);
    }
}
