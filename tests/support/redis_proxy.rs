//! A proxy before a redis-server, which can lose commands and answers, and lead to another server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::RedisServer;

/// Passes everything on, unless a test makes it lose something.
pub(crate) struct RedisProxy {
    pub(crate) port: u16,
    losses: Arc<Losses>,
}

#[derive(Default)]
struct Losses {
    /// The port of the server.
    server: AtomicU16,
    next_command: AtomicBool,
    next_answer: AtomicBool,
    answers: AtomicBool,
    commands: AtomicBool,
    /// Commands with this text wait until it is another.
    held_back: watch::Sender<Option<String>>,
    is_holding: AtomicBool,
    /// How many milliseconds commands take on their way.
    delay: AtomicU64,
    /// Counts how often all connections were cut.
    cuts: watch::Sender<u32>,
}

impl Losses {
    async fn hold_back(&self, command: &[u8]) {
        let has = |text: &String| command.windows(text.len()).any(|part| part == text.as_bytes());
        let mut held_back = self.held_back.subscribe();
        if held_back.borrow().as_ref().is_some_and(has) {
            self.is_holding.store(true, Ordering::SeqCst);
        }
        held_back.wait_for(|text| !text.as_ref().is_some_and(has)).await.unwrap();
    }
}

impl RedisProxy {
    pub(crate) async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let losses = Arc::new(Losses { server: server.port.into(), ..Losses::default() });
        let shared = Arc::clone(&losses);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, Arc::clone(&shared)));
            }
        });
        Self { port, losses }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Leads to another server from now on, over new connections.
    pub(crate) fn lead_to(&self, server: &RedisServer) {
        self.losses.server.store(server.port, Ordering::SeqCst);
        self.cut_connections();
    }

    /// Closes the connection of the next command instead of passing it on.
    pub(crate) fn cut_next_command(&self) {
        self.losses.next_command.store(true, Ordering::SeqCst);
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

    /// From now on passes everything on again, over new connections.
    pub(crate) fn pass_everything(&self) {
        self.cut_connections();
        self.losses.commands.store(false, Ordering::SeqCst);
        self.pass_answers();
    }

    /// From now on holds back commands with this text, and what follows them on their connections.
    pub(crate) fn hold_back(&self, text: &str) {
        self.losses.held_back.send_replace(Some(text.to_owned()));
    }

    /// From now on lets commands take that many milliseconds on their way, all that come at once
    /// together.
    pub(crate) fn delay(&self, millis: u64) {
        self.losses.delay.store(millis, Ordering::SeqCst);
    }

    /// Whether a command was held back.
    pub(crate) fn is_holding(&self) -> bool {
        self.losses.is_holding.load(Ordering::SeqCst)
    }

    /// Passes on what is held back.
    pub(crate) fn let_go(&self) {
        self.losses.held_back.send_replace(None);
    }

    /// Closes all connections, whatever is under way.
    pub(crate) fn cut_connections(&self) {
        self.losses.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass_on(client: TcpStream, losses: Arc<Losses>) {
    let mut cuts = losses.cuts.subscribe();
    tokio::select! {
        () = pass_both_ways(client, losses) => {}
        _ = cuts.changed() => {}
    }
}

async fn pass_both_ways(client: TcpStream, losses: Arc<Losses>) {
    let server = losses.server.load(Ordering::SeqCst);
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut commands, mut client) = client.into_split();
    let (mut answers, mut server) = server.into_split();
    let shared = Arc::clone(&losses);
    let pass_commands = async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = commands.read(&mut buffer).await {
            if shared.next_command.swap(false, Ordering::SeqCst) {
                return;
            }
            shared.hold_back(&buffer[..length]).await;
            tokio::time::sleep(Duration::from_millis(shared.delay.load(Ordering::SeqCst))).await;
            if !shared.commands.load(Ordering::SeqCst) && server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        // What was asked before the client ended is still answered.
        drop(server);
        std::future::pending::<()>().await;
    };
    let pass_answers = async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = answers.read(&mut buffer).await {
            if losses.answers.load(Ordering::SeqCst) {
                continue;
            }
            if losses.next_answer.swap(false, Ordering::SeqCst) || client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = pass_commands => {}
        () = pass_answers => {}
    }
}
