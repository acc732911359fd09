//! A redis-server for one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisResult};

use super::{MINUTE, Process, TlsFiles, cluster_port, free_port, until};

/// A redis-server on a port and in a folder of its own. It ends with the test.
pub(crate) struct RedisServer {
    /// The port without TLS, by which tests send their own commands.
    pub(crate) port: u16,
    tls_port: Option<u16>,
    folder: PathBuf,
    options: Vec<String>,
    process: Option<Process>,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::with_options(&[]).await
    }

    pub(crate) async fn with_options(options: &[&str]) -> Self {
        Self::on_ports(free_port(), None, options.iter().map(ToString::to_string).collect()).await
    }

    /// With TLS on a port beside the other one, if `tls` is given. It uses it with other servers,
    /// too.
    pub(crate) async fn with_tls(tls: Option<&TlsFiles>, options: &[&str]) -> Self {
        Self::on_ports_with_tls(free_port(), free_port(), tls, options).await
    }

    /// The same for a node of a Redis Cluster.
    pub(crate) async fn cluster_node(tls: Option<&TlsFiles>, options: &[&str]) -> Self {
        Self::on_ports_with_tls(cluster_port(), cluster_port(), tls, options).await
    }

    async fn on_ports_with_tls(port: u16, tls_port: u16, tls: Option<&TlsFiles>, options: &[&str]) -> Self {
        let of_tls = tls.map(|tls| tls.options(tls_port)).unwrap_or_default();
        let options = of_tls.into_iter().chain(options.iter().map(ToString::to_string)).collect();
        Self::on_ports(port, tls.map(|_| tls_port), options).await
    }

    async fn on_ports(port: u16, tls_port: Option<u16>, options: Vec<String>) -> Self {
        let folder = std::env::temp_dir().join(format!("jwt-refresh-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = Self { port, tls_port, folder, options, process: None };
        server.run().await;
        server
    }

    /// The port by which others reach it: that for TLS, if it has one.
    pub(crate) fn reached_at(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// Returns what its answer to `INFO` has of the field.
    pub(crate) async fn info(&self, field: &str) -> String {
        let info: String = self.run_command("INFO").await;
        let found = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or_default().trim().to_owned()
    }

    /// Starts the process, again after [`stop`](Self::stop). It starts with what
    /// [`save`](Self::save) has kept, or with no key.
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
        self.process = Some(process.into());
        until("redis-server answers", async || self.ping().await.is_ok()).await;
        assert!(self.process.as_mut().unwrap().try_wait().unwrap().is_none(), "another server has port {}", self.port);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Keeps what there is now for the next [`run`](Self::run).
    pub(crate) async fn save(&self) {
        self.run_command::<()>("SAVE").await;
    }

    /// Has the process stand still, with its connections open.
    #[cfg(unix)]
    pub(crate) fn pause(&self) {
        self.process.as_ref().unwrap().pause();
    }

    /// Lets it go on.
    #[cfg(unix)]
    pub(crate) fn resume(&self) {
        self.process.as_ref().unwrap().resume();
    }

    /// Where its files are, for as long as this lives.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command over a connection of its own, and returns the answer.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let mut connection = self.connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    /// Sends a command whose arguments hold no blanks, and returns the answer.
    pub(crate) async fn run_command<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        self.query(&command).await
    }

    async fn ping(&self) -> RedisResult<()> {
        redis::cmd("PING").query_async(&mut self.connection().await?).await
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        // The defaults are too short for a busy machine.
        let config = AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(Some(MINUTE)).set_response_timeout(Some(MINUTE));
        redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
