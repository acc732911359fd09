//! A certificate authority that no system trusts, and a server certificate of it.

use std::path::PathBuf;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::child_command;

/// An authority whose files are there as long as it lives.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    /// With a certificate for a server on loopback.
    pub(crate) fn new() -> Self {
        Self::with_server("127.0.0.1")
    }

    /// With a certificate for the server `name`.
    pub(crate) fn with_server(name: &str) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer is called what it is called for one of its own.
        authority.distinguished_name.push(DnType::CommonName, "Test Authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", authority.pem());
        write("server.pem", certificate.pem());
        write("server.key", key.serialize_pem());
        Self { folder }
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles(self.folder.path().to_owned())
    }

    /// A child process that trusts this authority, and finds its [`TlsFiles`] in its orders. Whom a
    /// process trusts is in its environment.
    pub(crate) fn trusting_child(&self, test: &str) -> Command {
        let mut command = child_command(test, self.folder.path().to_str().unwrap());
        command.env("SSL_CERT_FILE", self.files().authority()).env_remove("SSL_CERT_DIR");
        command
    }
}

/// What a server with TLS is started with.
pub(crate) struct TlsFiles(PathBuf);

impl TlsFiles {
    /// Those of the parent of this process, which are in the folder of its orders.
    pub(crate) fn of_orders(orders: &str) -> Self {
        Self(orders.into())
    }

    /// The file with the authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The settings of a redis-server or sentinel that has TLS, beside its port.
    pub(crate) fn settings(&self) -> [(&'static str, String); 4] {
        let file = |name: &str| self.0.join(name).to_str().unwrap().to_owned();
        [
            ("tls-cert-file", file("server.pem")),
            ("tls-key-file", file("server.key")),
            ("tls-ca-cert-file", file("ca.pem")),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }

    /// The options of redis-cli that connects to such a server.
    pub(crate) fn redis_cli_options(&self) -> [String; 3] {
        ["--tls".to_owned(), "--cacert".to_owned(), self.authority().to_str().unwrap().to_owned()]
    }

    /// The options of a redis-server that has TLS on `port`, and uses it with other servers.
    pub(crate) fn options(&self, port: u16) -> Vec<String> {
        let all = self.settings().into_iter().chain([
            ("tls-port", port.to_string()),
            ("tls-replication", "yes".to_owned()),
            ("tls-cluster", "yes".to_owned()),
        ]);
        all.flat_map(|(name, value)| [format!("--{name}"), value]).collect()
    }
}
