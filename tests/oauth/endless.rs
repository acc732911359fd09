//! Endpoints whose answers have no end, come byte by byte, or lead elsewhere.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::future::join_all;
use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder};
use jwt_refresh::{ClientAuth, Error, Policy, Session, Tokens};
use serde_json::json;

use crate::browser::{Browser, Sent, logged_in};
use crate::support::{MINUTE, SECOND};

/// What an endpoint does.
#[derive(Clone, Copy, Debug)]
enum Odd {
    /// A body without an end, as fast as it is read.
    EndlessBody,
    /// A body that comes byte by byte.
    SlowBody,
    /// Headers without an end.
    EndlessHead,
    /// A status line that comes byte by byte.
    SlowHead,
    /// A redirect to another host.
    Redirect(u16),
}

const ODD: [Odd; 7] = [
    Odd::EndlessBody,
    Odd::SlowBody,
    Odd::EndlessHead,
    Odd::SlowHead,
    Odd::Redirect(302),
    Odd::Redirect(307),
    Odd::Redirect(308),
];

/// A server one of whose endpoints is odd.
struct OddServer {
    url: String,
    /// The paths that were asked for.
    asked: mpsc::Receiver<String>,
    /// How many connections came to the host that a redirect leads to.
    elsewhere: Arc<AtomicUsize>,
}

impl OddServer {
    fn start(path: &'static str, odd: Odd) -> Self {
        let (listens, elsewhere) = (listener(), listener());
        let (url, other) = (url(&listens), url(&elsewhere));
        let (sender, asked) = mpsc::channel();
        let own = url.clone();
        std::thread::spawn(move || {
            for stream in listens.incoming().map_while(Result::ok) {
                let (sender, own, other) = (sender.clone(), own.clone(), other.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream, (path, odd), &own, &other, &sender);
                });
            }
        });
        let came = Arc::<AtomicUsize>::default();
        let comes = Arc::clone(&came);
        std::thread::spawn(move || {
            for _ in elsewhere.incoming() {
                comes.fetch_add(1, Ordering::AcqRel);
            }
        });
        Self { url, asked, elsewhere: came }
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.try_iter().filter(|asked| asked == path).count()
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

/// Reads a request. Returns its path and its body.
fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head.split(' ').nth(1).unwrap().to_owned(), String::from_utf8(body).unwrap()))
}

fn serve(
    mut stream: TcpStream,
    (odd_path, odd): (&str, Odd),
    own: &str,
    other: &str,
    asked: &mpsc::Sender<String>,
) -> std::io::Result<()> {
    let (path, body) = read_request(&mut stream)?;
    let _ = asked.send(path.clone());
    if path == odd_path {
        return odd.answer(&mut stream, other, &path);
    }
    let answer = match &*path {
        "/.well-known/openid-configuration" => json!({
            "issuer": own, "authorization_endpoint": format!("{own}/authorize"), "token_endpoint": format!("{own}/token"),
            "device_authorization_endpoint": format!("{own}/device"), "revocation_endpoint": format!("{own}/revoke"),
            "pushed_authorization_request_endpoint": format!("{own}/push"),
            "registration_endpoint": format!("{own}/register"),
        }),
        "/.well-known/oauth-protected-resource" => json!({ "resource": own, "authorization_servers": [own] }),
        "/push" => json!({ "request_uri": body, "expires_in": 60 }),
        "/device" => json!({
            "device_code": "d", "user_code": "u", "verification_uri": "https://id.example/", "expires_in": 60, "interval": 1,
        }),
        "/register" => json!({ "client_id": "client", "token_endpoint_auth_method": "none" }),
        _ => json!({ "access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 3600 }),
    };
    let answer = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes())
}

impl Odd {
    /// Answers until the client has gone.
    fn answer(self, stream: &mut TcpStream, other: &str, path: &str) -> std::io::Result<()> {
        const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let pause = || std::thread::sleep(Duration::from_millis(20));
        match self {
            Self::EndlessBody => {
                stream.write_all(&[HEAD, b"\r\n{"].concat())?;
                loop {
                    stream.write_all(&[b' '; 8192])?;
                }
            }
            Self::SlowBody => {
                stream.write_all(&[HEAD, b"\r\n{"].concat())?;
                loop {
                    pause();
                    stream.write_all(b" ")?;
                }
            }
            Self::EndlessHead => {
                stream.write_all(HEAD)?;
                loop {
                    stream.write_all(format!("x-odd: {}\r\n", "a".repeat(8000)).as_bytes())?;
                }
            }
            Self::SlowHead => {
                stream.write_all(b"HTTP/1.1 200 ")?;
                loop {
                    pause();
                    stream.write_all(b"O")?;
                }
            }
            Self::Redirect(status) => {
                let head = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {other}{path}\r\nconnection: close");
                stream.write_all(format!("{head}\r\ncontent-length: 0\r\n\r\n").as_bytes())
            }
        }
    }
}

/// A session in which what is good on the way to an odd answer has time enough, also on a busy
/// machine.
fn session(login: OAuthBuilder) -> Session {
    let login = login.client(|| reqwest::Client::builder().no_proxy()).build().unwrap();
    let policy = Policy::default().login_timeout(SECOND * 10).refresh_timeout(SECOND * 10);
    Session::builder(login).policy(policy).build()
}

/// How a login at such a server is configured.
type Login = fn(&OddServer) -> OAuthBuilder;

fn by_assertion(server: &OddServer) -> OAuthBuilder {
    OAuth::builder(&*server.url, Grant::jwt_bearer("S3cret")).client_auth(ClientAuth::in_body("app", "S3cret"))
}

/// A browser that comes back with the state in the pushed request.
fn by_browser(server: &OddServer) -> OAuthBuilder {
    let grant = Browser::default().grant(|sent| {
        let pushed: Sent = url::form_urlencoded::parse(sent["request_uri"].as_bytes()).into_owned().collect();
        logged_in(&pushed)
    });
    OAuth::builder(&*server.url, grant).client_auth(ClientAuth::public("app"))
}

fn by_device(server: &OddServer) -> OAuthBuilder {
    OAuth::builder(&*server.url, Grant::device_code(|_| ())).client_auth(ClientAuth::public("tv"))
}

fn by_resource(server: &OddServer) -> OAuthBuilder {
    OAuth::mcp(&*server.url, jwt_refresh::oauth::AuthorizationCode::new(|_| Ok(())))
}

async fn ends<T>(what: &str, result: impl Future<Output = Result<T, Error>>) -> Error {
    let result = tokio::time::timeout(MINUTE, result).await;
    let error = result.unwrap_or_else(|_| panic!("{what}: it has no end")).err().unwrap_or_else(|| panic!("{what}"));
    assert!(!format!("{error} {error:?}").contains("S3cret"), "{what}: {error:?}");
    error
}

#[tokio::test]
async fn no_endpoint_holds_a_login_for_ever_or_leads_it_elsewhere() {
    let logins: [(&str, Login); 6] = [
        ("/.well-known/openid-configuration", by_assertion),
        ("/token", by_assertion),
        ("/push", by_browser),
        ("/device", by_device),
        ("/.well-known/oauth-protected-resource", by_resource),
        ("/register", by_resource),
    ];
    let mut all = tokio::task::JoinSet::new();
    for (path, login) in logins {
        for odd in ODD {
            all.spawn(async move {
                let server = OddServer::start(path, odd);
                let what = format!("{path} {odd:?}");
                let session = session(login(&server));
                let error = ends(&what, session.token()).await;
                assert!(error.endpoint().unwrap().starts_with(&server.url), "{what}: {error}");
                // A discovery has half of the time of the login, to the tenth of a second.
                assert!(!error.to_string().contains("4.99"), "{what}: {error}");
                assert_eq!(server.asked(path), 1, "{what}");
                assert_eq!(server.elsewhere.load(Ordering::Acquire), 0, "{what}");
            });
        }
    }
    all.join_all().await;
}

#[tokio::test]
async fn a_refresh_whose_answer_has_no_end_is_not_sent_again_and_the_token_serves_on() {
    let all = ODD.map(async |odd| {
        let server = OddServer::start("/token", odd);
        let what = format!("{odd:?}");
        let session = session(by_assertion(&server));
        let tokens = Tokens::new("held").unwrap().refresh_token("S3cret").expires_in(MINUTE * 10);
        session.adopt(tokens).await.unwrap();
        ends(&what, session.refresh_now()).await;
        assert_eq!(session.token().await.unwrap().expose(), "held", "{what}");
        assert_eq!(server.asked("/token"), 1, "{what}");
        assert_eq!(server.elsewhere.load(Ordering::Acquire), 0, "{what}");
    });
    join_all(all).await;
}

#[tokio::test]
async fn a_logout_whose_revocation_has_no_end_ends() {
    let all = ODD.map(async |odd| {
        let server = OddServer::start("/revoke", odd);
        let what = format!("{odd:?}");
        let session = session(by_assertion(&server));
        session.token().await.unwrap();
        ends(&what, session.logout()).await;
        session.token().await.unwrap_err();
        assert_eq!(server.elsewhere.load(Ordering::Acquire), 0, "{what}");
    });
    join_all(all).await;
}
