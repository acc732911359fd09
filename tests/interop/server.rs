//! The servers, each on a port of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use crate::support::{Process, free_port, http_client, until};

/// The environment variable that names the folder in which the servers are installed.
const INSTALLED: &str = "INTEROP_SERVERS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Software {
    /// It replaces refresh tokens, and ends the grant if an old one is used again. It forgets
    /// everything when it ends.
    OidcProvider,
    SimpleJwt(Rotation),
}

/// What becomes of a refresh token that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    Kept,
    Replaced,
    ReplacedAndBlacklisted,
}

/// What a server has answered since it was started.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stats {
    pub(crate) logins: u64,
    pub(crate) refreshes: u64,
    /// Logins and refreshes that were refused.
    pub(crate) refused: u64,
    pub(crate) revoked_grants: u64,
    /// Calls of the API that were answered 401, but for those that lacked a nonce.
    pub(crate) rejected: u64,
    /// How often the API or the token endpoint asked for a DPoP nonce.
    #[serde(default)]
    pub(crate) nonces: u64,
}

/// A server that ends with the test.
pub(crate) struct Server {
    software: Software,
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Server {
    /// Starts a server whose access tokens live for 10 s.
    pub(crate) async fn start(software: Software) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { software, port: free_port(), folder, process: None };
        server.run().await;
        server
    }

    /// Starts the process, again after [`stop`](Self::stop).
    pub(crate) async fn run(&mut self) {
        let log = File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.command();
        command.env("ACCESS_TTL", "10").env("REFRESH_TTL", "600");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap().into());
        until("the server answers", async || self.read_stats().await.is_some()).await;
    }

    fn command(&self) -> Command {
        let installed = std::env::var(INSTALLED).expect("run scripts/test-interop, which installs the servers");
        let installed = PathBuf::from(installed);
        let port = self.port.to_string();
        let Software::SimpleJwt(rotation) = self.software else {
            let mut node = Command::new("node");
            node.arg(installed.join("oidc-provider/server.mjs")).arg(port);
            return node;
        };
        let mut python = Command::new(installed.join("simplejwt/venv/bin/python"));
        python.arg(installed.join("simplejwt/server.py")).arg(port).arg(self.folder.path());
        let flag = |is_set: bool| if is_set { "1" } else { "0" };
        python
            .env("ROTATE", flag(rotation != Rotation::Kept))
            .env("BLACKLIST", flag(rotation == Rotation::ReplacedAndBlacklisted));
        python
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn stats(&self) -> Stats {
        self.read_stats().await.unwrap()
    }

    async fn read_stats(&self) -> Option<Stats> {
        let answer = http_client().get(format!("{}/stats", self.url())).send().await.ok()?;
        answer.json().await.ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("{:?} logged:\n{log}", self.software);
        }
    }
}
