//! A sentinel for one test, with the servers that it watches.

use std::process::{Command, Stdio};

use super::{Process, RedisServer, free_port, until};

/// A master, a replica, and a sentinel that promotes the replica when the master is gone.
pub(crate) struct RedisSentinel {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    sentinel: u16,
    _process: Process,
}

impl RedisSentinel {
    /// The name that the sentinel has for the master.
    pub(crate) const SERVICE: &str = "main";

    pub(crate) async fn start() -> Self {
        let master = RedisServer::with_options(&["--repl-diskless-sync-delay", "0"]).await;
        let replica = RedisServer::with_options(&["--replicaof", &format!("127.0.0.1 {}", master.port)]).await;
        until("the replica is in step", async || replica.info("master_link_status").await == "up").await;
        let (sentinel, name) = (free_port(), Self::SERVICE);
        let settings = format!(
            "port {sentinel}\nbind 127.0.0.1\nsentinel monitor {name} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n",
            master.port
        );
        let file = master.folder().join("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need redis-server: see scripts/test");
        let set = Self { master, replica, sentinel, _process: process.into() };
        until("the sentinel knows the replica", async || set.sees("num-slaves", "1").await).await;
        set
    }

    /// Whether the sentinel says that of the master.
    async fn sees(&self, field: &str, value: &str) -> bool {
        let Ok(client) = redis::Client::open(format!("redis://127.0.0.1:{}", self.sentinel)) else { return false };
        let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(Self::SERVICE);
        let said: Vec<String> = command.query_async(&mut connection).await.unwrap_or_default();
        said.chunks(2).any(|pair| pair == [field, value])
    }

    /// Sends a command whose arguments hold no blanks to the sentinel.
    pub(crate) async fn run_on_sentinel(&self, command: &str) {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.sentinel)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut words = command.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        let () = command.query_async(&mut connection).await.unwrap();
    }

    /// Waits until the sentinel has promoted the replica.
    pub(crate) async fn promoted(&self) {
        let port = self.replica.port.to_string();
        until("the replica is promoted", async || self.sees("port", &port).await).await;
    }

    /// A URL that names a sentinel that is down first.
    pub(crate) fn url(&self) -> String {
        self.url_for(Self::SERVICE)
    }

    pub(crate) fn url_for(&self, service: &str) -> String {
        let down = free_port();
        format!("redis-sentinel://127.0.0.1:{down}?node=127.0.0.1:{}&sentinelServiceName={service}", self.sentinel)
    }
}
