//! Sentinels for one test, with the servers that they watch.

use std::fmt::Write as _;
use std::iter;
use std::process::{Command, Stdio};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};

use super::{MINUTE, Process, RedisServer, TlsFiles, free_port, until};

/// A master, a replica, and sentinels that promote the replica when the master is gone.
pub(crate) struct RedisSentinel {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    sentinels: Vec<Sentinel>,
}

/// How many sentinels there are, and who has TLS.
#[derive(Default)]
pub(crate) struct SetLayout<'a> {
    pub(crate) sentinels: usize,
    pub(crate) tls_of_servers: Option<&'a TlsFiles>,
    pub(crate) tls_of_sentinels: Option<&'a TlsFiles>,
}

struct Sentinel {
    port: u16,
    tls_port: Option<u16>,
    process: Option<Process>,
}

/// The user of a sentinel that hears nothing of others, and can tell no server to change.
const DEAF_USER: &str = "ACL SETUSER deaf on >password +@all -subscribe -publish -replicaof -slaveof -multi";

/// A sentinel that belongs to no set.
pub(crate) struct DeafSentinel(Sentinel);

impl DeafSentinel {
    pub(crate) fn address(&self) -> String {
        self.0.address()
    }

    /// Whether it names the server as the master.
    pub(crate) async fn names(&self, server: &RedisServer) -> bool {
        self.0.sees("port", &server.reached_at().to_string()).await
    }
}

impl RedisSentinel {
    /// The name that the sentinels have for the master.
    pub(crate) const SERVICE: &str = "main";

    /// With one sentinel.
    pub(crate) async fn start() -> Self {
        Self::with(SetLayout { sentinels: 1, ..SetLayout::default() }).await
    }

    /// With three sentinels, of which two have to agree.
    pub(crate) async fn three() -> Self {
        Self::with(SetLayout { sentinels: 3, ..SetLayout::default() }).await
    }

    pub(crate) async fn with(layout: SetLayout<'_>) -> Self {
        let tls = layout.tls_of_servers;
        let master = RedisServer::with_tls(tls, &["--repl-diskless-sync-delay", "0"]).await;
        let of_master = format!("127.0.0.1 {}", master.reached_at());
        let options = ["--repl-diskless-sync-delay", "0", "--replicaof", &of_master];
        let replica = RedisServer::with_tls(tls, &options).await;
        until("the replica is in step", async || replica.info("master_link_status").await == "up").await;
        let mut set = Self { master, replica, sentinels: Vec::new() };
        for _ in 0..layout.sentinels {
            let sentinel = set.start_sentinel(layout.sentinels / 2 + 1, &layout, "");
            set.sentinels.push(sentinel);
        }
        let others = (layout.sentinels - 1).to_string();
        for sentinel in &set.sentinels {
            until("the sentinel knows all others", async || {
                sentinel.sees("num-slaves", "1").await && sentinel.sees("num-other-sentinels", &others).await
            })
            .await;
        }
        set
    }

    /// Starts a sentinel, whose file has `more` at its end.
    fn start_sentinel(&self, quorum: usize, layout: &SetLayout<'_>, more: &str) -> Sentinel {
        let (port, name) = (free_port(), Self::SERVICE);
        let tls_port = layout.tls_of_sentinels.map(|_| free_port());
        let mut settings = format!("port {port}\nbind 127.0.0.1\n");
        let mut set = |name: &str, value: &str| writeln!(settings, "{name} {value}").unwrap();
        if let Some(port) = tls_port {
            set("tls-port", &port.to_string());
        }
        if layout.tls_of_servers.is_some() {
            set("tls-replication", "yes");
        }
        for (name, value) in layout.tls_of_sentinels.or(layout.tls_of_servers).iter().flat_map(|tls| tls.settings()) {
            set(name, &value);
        }
        set("sentinel monitor", &format!("{name} 127.0.0.1 {} {quorum}", self.master.reached_at()));
        set("sentinel down-after-milliseconds", &format!("{name} 1000"));
        set("sentinel failover-timeout", &format!("{name} 5000"));
        settings.push_str(more);
        let file = self.master.folder().join(format!("sentinel-{port}.conf"));
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need redis-server: see scripts/test");
        Sentinel { port, tls_port, process: Some(process.into()) }
    }

    /// Starts a sentinel that hears nothing of the others, nor they of it. It goes on to name the
    /// first master as long as that lives.
    pub(crate) async fn deaf_sentinel(&self) -> DeafSentinel {
        for server in [&self.master, &self.replica] {
            let () = server.run_command(DEAF_USER).await;
        }
        let name = Self::SERVICE;
        let user = format!("sentinel auth-user {name} deaf\nsentinel auth-pass {name} password\n");
        let deaf = self.start_sentinel(1, &SetLayout::default(), &user);
        until("the deaf sentinel has asked the master", async || deaf.sees("num-slaves", "1").await).await;
        DeafSentinel(deaf)
    }

    /// Ends the sentinel that the URL names first.
    pub(crate) fn stop_first_sentinel(&mut self) {
        self.sentinels[0].process = None;
    }

    /// Has the sentinels promote the replica while the master is well, and goes on as one: they
    /// may not tell it to be none.
    pub(crate) async fn fail_over(&self) {
        let () = self.master.run_command("ACL SETUSER default -replicaof -slaveof").await;
        self.run_on_sentinel(&format!("SENTINEL FAILOVER {}", Self::SERVICE)).await;
    }

    /// Sends a command whose arguments hold no blanks to the last sentinel.
    pub(crate) async fn run_on_sentinel(&self, command: &str) {
        let mut words = command.split_whitespace();
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        let mut connection = self.sentinels.last().unwrap().connection().await.unwrap();
        let () = command.query_async(&mut connection).await.unwrap();
    }

    /// Waits until the replica is promoted, and all sentinels that run say so.
    pub(crate) async fn promoted(&self) {
        let port = self.replica.reached_at().to_string();
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.process.is_some()) {
            until("the replica is promoted", async || sentinel.sees("port", &port).await).await;
        }
    }

    /// A URL that names a sentinel that is down first.
    pub(crate) fn url(&self) -> String {
        self.url_for(Self::SERVICE)
    }

    pub(crate) fn url_for(&self, service: &str) -> String {
        let down = format!("127.0.0.1:{}", free_port());
        let addresses = iter::once(down).chain(self.sentinels.iter().map(Sentinel::address));
        let scheme = if self.sentinels[0].tls_port.is_some() { "rediss" } else { "redis" };
        sentinel_url(scheme, &addresses.collect::<Vec<_>>(), service)
    }

    /// A URL that names the sentinels alone, and first another one.
    pub(crate) fn url_with_first(&self, first: &str) -> String {
        let addresses = iter::once(first.to_owned()).chain(self.sentinels.iter().map(Sentinel::address));
        sentinel_url("redis", &addresses.collect::<Vec<_>>(), Self::SERVICE)
    }
}

/// A URL of sentinels at `addresses`.
fn sentinel_url(scheme: &str, addresses: &[String], service: &str) -> String {
    let (first, others) = addresses.split_first().unwrap();
    let query: Vec<_> = others.iter().map(|other| format!("node={other}")).collect();
    format!("{scheme}-sentinel://{first}?{}&sentinelServiceName={service}", query.join("&"))
}

impl Sentinel {
    /// Where its clients reach it.
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port.unwrap_or(self.port))
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        // The defaults are too short for a busy machine.
        let config = AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(Some(MINUTE)).set_response_timeout(Some(MINUTE));
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Whether it says that of the master.
    async fn sees(&self, field: &str, value: &str) -> bool {
        let Ok(mut connection) = self.connection().await else { return false };
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(RedisSentinel::SERVICE);
        let said: Vec<String> = command.query_async(&mut connection).await.unwrap_or_default();
        said.chunks(2).any(|pair| pair == [field, value])
    }
}
