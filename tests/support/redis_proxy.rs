//! A proxy before a redis-server, which can lose commands and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::RedisServer;

/// Passes everything on, unless a test makes it lose something.
pub(crate) struct RedisProxy {
    port: u16,
    losses: Arc<Losses>,
}

#[derive(Default)]
struct Losses {
    next_answer: AtomicBool,
    answers: AtomicBool,
    commands: AtomicBool,
}

impl RedisProxy {
    pub(crate) async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let losses = Arc::new(Losses::default());
        let (server, shared) = (server.port, Arc::clone(&losses));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, losses }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Passes the next command on, and closes its connection instead of passing the answer on.
    pub(crate) fn cut_next_answer(&self) {
        self.losses.next_answer.store(true, Ordering::SeqCst);
    }

    /// Whether the answer that was to be cut has been cut.
    pub(crate) fn has_cut_answer(&self) -> bool {
        !self.losses.next_answer.load(Ordering::SeqCst)
    }

    /// From now on passes commands on, but no answers. Connections stay open.
    pub(crate) fn lose_answers(&self) {
        self.losses.answers.store(true, Ordering::SeqCst);
    }

    /// From now on passes answers on again. Those that came in between are lost.
    pub(crate) fn pass_answers(&self) {
        self.losses.answers.store(false, Ordering::SeqCst);
    }

    /// From now on passes nothing on, as if the client's machine had died.
    pub(crate) fn lose_everything(&self) {
        self.losses.commands.store(true, Ordering::SeqCst);
        self.lose_answers();
    }
}

async fn pass_on(client: TcpStream, server: u16, losses: Arc<Losses>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut commands, mut client) = client.into_split();
    let (mut answers, mut server) = server.into_split();
    let shared = Arc::clone(&losses);
    let passing_commands = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = commands.read(&mut buffer).await {
            if !shared.commands.load(Ordering::SeqCst) && server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = answers.read(&mut buffer).await {
        if losses.answers.load(Ordering::SeqCst) {
            continue;
        }
        if losses.next_answer.swap(false, Ordering::SeqCst) || client.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    passing_commands.abort();
}
