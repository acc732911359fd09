//! A redis-server of the test's own, and a proxy before it that loses answers.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::until;

/// A redis-server on a port and in a folder of its own. Ends with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    options: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(options: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("jwt-refresh-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { port, folder, options, process: None };
        server.run().await;
        server
    }

    /// Starts it, again after [`stop`](Self::stop), with nothing in it.
    pub(crate) async fn run(&mut self) {
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need redis-server: see scripts/test");
        self.process = Some(process);
        until("the server answers", async || self.try_ask::<String>(&redis::cmd("PING")).await.is_some()).await;
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks the server over a connection of its own.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let mut connection = self.connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    /// Asks the server, in words that need no quotes.
    pub(crate) async fn say<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        self.ask(&command).await
    }

    async fn try_ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let mut connection = self.connection().await.ok()?;
        command.query_async(&mut connection).await.ok()
    }

    async fn connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Stands before a server and, when told to, lets a question pass and cuts the connection instead of passing the answer on,
/// or lets no answer pass at all, as a network does that has gone without a word.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    cut: AtomicBool,
    mute: AtomicBool,
    lost: AtomicBool,
}

impl Proxy {
    pub(crate) async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults::default());
        let (to, shared) = (server.port, faults.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, to, shared.clone()));
            }
        });
        Self { port, faults }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn cut_the_next_answer(&self) {
        self.faults.cut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn mute(&self, is_mute: bool) {
        self.faults.mute.store(is_mute, Ordering::SeqCst);
    }

    /// From now on nothing passes, as if whoever is behind it had died.
    pub(crate) fn lose(&self) {
        self.faults.lost.store(true, Ordering::SeqCst);
        self.mute(true);
    }

    pub(crate) fn has_cut(&self) -> bool {
        !self.faults.cut.load(Ordering::SeqCst)
    }
}

async fn pass_on(client: TcpStream, to: u16, faults: Arc<Faults>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let (mut questions, mut client) = client.into_split();
    let (mut answers, mut server) = server.into_split();
    let hears = Arc::clone(&faults);
    let asking = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = questions.read(&mut buffer).await {
            if !hears.lost.load(Ordering::SeqCst) && server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = answers.read(&mut buffer).await {
        if faults.mute.load(Ordering::SeqCst) {
            continue;
        }
        if faults.cut.swap(false, Ordering::SeqCst) || client.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    asking.abort();
}

/// A server that takes connections and never says a word.
pub(crate) async fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://:password@{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A bound on what is to happen soon, far above what it takes and far below what a miss would.
pub(crate) const SOON: Duration = Duration::from_secs(3);
