//! The model server: HTTP on loopback, one request a connection. What it says is in the script;
//! what it does, in its books.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::{Answer, Arrives, Hold, Says};
use crate::exchange::{Action, Meaning};
use crate::issuer::Issued;
use crate::refusals::{Refusal, WRONG_PASSWORD, WRONG_TOKEN};
use crate::state::State;
use crate::world::{Held, World};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, world: World) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, world.clone()))),
            // The client was gone before, as one that is killed is.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

struct Request {
    what: String,
    exchange: usize,
    body: String,
}

async fn answer(mut stream: TcpStream, world: World) {
    let Some(request) = read(&mut stream).await else { return };
    let action = match request.what.as_str() {
        "login" => Action::Login,
        "refresh" => Action::Refresh,
        _ => {
            let token = request.body.split('&').find_map(|field| field.strip_prefix("token=")).unwrap_or_default();
            world.with(|state| {
                state.note(format_args!("    the server revokes {token}"));
                state.issuer.revoke(token);
            });
            return send(&mut stream, &head(200, "application/json", 0, &[])).await;
        }
    };
    let next = world.with(|state| next(state, action));
    if next.hold == Hold::BeforeItActs && world.hold("the server holds it").await == Held::CutOff {
        world.with(|state| state.answered(request.exchange, None));
        drop(stream);
        world.released().await;
        world.with(|state| drop(act(state, action, &request, next)));
        return;
    }
    let (reply, arrived) = world.with(|state| act(state, action, &request, next));
    if next.hold == Hold::AfterItActed && world.hold("the server holds it").await == Held::CutOff {
        return world.with(|state| state.answered(request.exchange, None));
    }
    world.with(|state| state.answered(request.exchange, arrived));
    send(&mut stream, &reply).await;
}

/// Takes what becomes of the next request from the script.
fn next(state: &mut State, action: Action) -> Answer {
    let at = state.script.iter().position(|(for_action, _)| *for_action == action);
    at.and_then(|at| state.script.remove(at)).map_or_else(|| Answer::well(state.setup.hints), |(_, answer)| answer)
}

/// Does what is asked. Returns the bytes to be sent before the connection is closed, and what they
/// mean; `None` if that is no whole answer.
fn act(state: &mut State, action: Action, request: &Request, answer: Answer) -> (Vec<u8>, Option<Meaning>) {
    let sent = refresh_token(&request.body);
    let hints = if let Says::Tokens(hints) = answer.says { hints } else { state.setup.hints };
    let issued = if answer.acts { state.issuer.carry_out(action, &sent, state.now, hints) } else { None };
    if let Some(issued) = &issued {
        let exchange = &mut state.exchanges[request.exchange];
        exchange.brought = Some(issued.access.clone());
        state.issuer.asked_by(&issued.access, exchange.session);
    }
    let (status, (kind, text), meaning) = match (answer.says, &issued) {
        (Says::Tokens(_), Some(issued)) => granted(issued, hints.expires_in(state.issuer.life)),
        (Says::Refusal(refusal), _) => refused(refusal),
        (Says::Tokens(_), None) if action == Action::Login => refused(&WRONG_PASSWORD),
        (Says::Tokens(_), None) => refused(&WRONG_TOKEN),
    };
    if meaning == Meaning::Dead {
        state.issuer.refuse(&sent);
    }
    let mut reply = whole(state, answer, status, kind, &text);
    let acted = issued.as_ref().map_or("did nothing", |_| "issued tokens");
    state.note(format_args!("    the server {acted} and says {status} {meaning:?}, {:?}", answer.arrives));
    let arrived = match answer.arrives {
        Arrives::Whole => Some(meaning),
        Arrives::Half if issued.is_some() => {
            reply.truncate(reply.len() - text.len() / 2);
            None
        }
        Arrives::Half | Arrives::Nothing => {
            reply.clear();
            None
        }
    };
    (reply, arrived)
}

/// Returns the status, the type and text of the body, and what it means.
fn granted(issued: &Issued, expires_in: Option<Value>) -> (u16, (&'static str, String), Meaning) {
    let mut body = json!({ "access_token": issued.access, "token_type": "Bearer" });
    if let Some(refresh) = &issued.refresh {
        body["refresh_token"] = refresh.as_str().into();
    }
    if let Some(expires_in) = expires_in {
        body["expires_in"] = expires_in;
    }
    (200, ("application/json", body.to_string()), Meaning::Tokens(issued.refresh.clone()))
}

fn refused(refusal: &Refusal) -> (u16, (&'static str, String), Meaning) {
    (refusal.status, refusal.body.text(), refusal.meaning.clone())
}

fn whole(state: &State, answer: Answer, status: u16, kind: &str, body: &str) -> Vec<u8> {
    let date = answer.date.header(state.issuer.clock(state.now)).map(|date| ("Date", date));
    let retry_after = answer.retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
    let headers: Vec<_> = date.into_iter().chain(retry_after).collect();
    let mut bytes = head(status, kind, body.len(), &headers);
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn head(status: u16, kind: &str, length: usize, headers: &[(&str, String)]) -> Vec<u8> {
    let mut head =
        format!("HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // The client may be gone.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut path = head.split(' ').nth(1)?.split('/').skip(1);
    let (what, exchange) = (path.next()?.to_owned(), path.next()?.parse().ok()?);
    Some(Request { what, exchange, body: String::from_utf8_lossy(&bytes[end..end + length]).into_owned() })
}

fn refresh_token(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["refresh_token"].as_str().unwrap_or_default().to_owned()
}
