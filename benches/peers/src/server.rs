//! The token server: a process of its own on loopback, so that its time and memory are not counted.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::header::CONNECTION;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::Error;

/// As many bytes as an access token that is signed with RS256.
pub const TOKEN_BYTES: usize = 800;
const LIFETIME: u64 = 86_400;

/// How the server answers.
#[derive(Clone, Copy, Deserialize)]
pub struct Manner {
    /// The lifetime of the tokens, in seconds.
    pub lifetime: u64,
    /// How long it thinks, in milliseconds.
    pub delay: u64,
    /// Whether it closes the connection after each answer.
    pub close: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { lifetime: LIFETIME, delay: 0, close: false }
    }
}

struct Settings {
    lifetime: AtomicU64,
    delay: AtomicU64,
    close: AtomicBool,
    answers: AtomicU64,
}

async fn token(State(settings): State<Arc<Settings>>) -> impl IntoResponse {
    let number = settings.answers.fetch_add(1, Ordering::Relaxed);
    let delay = settings.delay.load(Ordering::Relaxed);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let lifetime = settings.lifetime.load(Ordering::Relaxed);
    let connection = if settings.close.load(Ordering::Relaxed) { "close" } else { "keep-alive" };
    let body = json!({
        "access_token": format!("{number:x>TOKEN_BYTES$}"),
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
    });
    ([(CONNECTION, connection)], Json(body))
}

async fn set(State(settings): State<Arc<Settings>>, Query(manner): Query<Manner>) {
    settings.lifetime.store(manner.lifetime, Ordering::Relaxed);
    settings.delay.store(manner.delay, Ordering::Relaxed);
    settings.close.store(manner.close, Ordering::Relaxed);
}

async fn answers(State(settings): State<Arc<Settings>>) -> String {
    settings.answers.load(Ordering::Relaxed).to_string()
}

/// Serves until its standard input ends, and prints its port.
pub async fn serve() -> Result<(), Error> {
    let manner = Manner::default();
    let settings = Arc::new(Settings {
        lifetime: AtomicU64::new(manner.lifetime),
        delay: AtomicU64::new(manner.delay),
        close: AtomicBool::new(manner.close),
        answers: AtomicU64::new(0),
    });
    let router = Router::new()
        .route("/set", get(set))
        .route("/answers", get(answers))
        .route("/{*path}", post(token))
        .with_state(settings);
    // Thousands may connect at once.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?.port());
    let parent_ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        _ = parent_ended => {}
    }
    Ok(())
}

/// The process of the server, which ends with this value.
pub struct ServerProcess(Child);

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of the server.
#[derive(Clone)]
pub struct TokenServer {
    port: u16,
}

impl TokenServer {
    /// Starts `measure serve`.
    pub fn start() -> Result<(ServerProcess, Self), Error> {
        let program = std::env::current_exe()?.with_file_name("measure");
        let mut child = Command::new(program).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("the server prints nothing")?;
        let process = ServerProcess(child);
        let mut port = String::new();
        BufReader::new(output).read_line(&mut port)?;
        Ok((process, Self { port: port.trim().parse()? }))
    }

    pub fn token_url(&self) -> String {
        self.url("/token")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub async fn set(&self, Manner { lifetime, delay, close }: Manner) -> Result<(), Error> {
        let url = self.url(&format!("/set?lifetime={lifetime}&delay={delay}&close={close}"));
        reqwest::get(url).await?.error_for_status()?;
        Ok(())
    }

    /// Returns how many tokens it has been asked for.
    pub async fn answers(&self) -> Result<u64, Error> {
        Ok(reqwest::get(self.url("/answers")).await?.error_for_status()?.text().await?.parse()?)
    }
}
