//! TLS: the store connects to a server only if it trusts the authority of its certificate.

use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::kind;
use crate::support::{RedisServer, child_command, entry, free_port, orders};

/// A server, its port for TLS, and the file with the certificate of its authority.
async fn server() -> (RedisServer, u16, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &authority).unwrap();

    let port = free_port();
    let folder = std::env::temp_dir().join(format!("jwt-refresh-redis-tls-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = write("ca.pem", authority.pem());
    let cert = write("server.pem", certificate.pem());
    let key = write("server.key", key.serialize_pem());
    let tls = port.to_string();
    let options = ["--tls-port", &tls, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let options = [&options[..], &["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"]].concat();
    let server = RedisServer::with_options(&options).await;
    (server, port, ca)
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_is_used() {
    let (server, port, ca) = server().await;
    let url = format!("rediss://127.0.0.1:{port}");
    let error = RedisStore::new(&url).unwrap().load("alice").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("certificate"), "{error}");

    // The trusted authorities are read from the environment, so this takes a process of its own.
    let child = child_command("tls::child_trusts_the_authority", &url).env("SSL_CERT_FILE", &ca).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(server.run_command::<u32>("DBSIZE").await, 1);
    std::fs::remove_dir_all(std::path::Path::new(&ca).parent().unwrap()).unwrap();
}

#[tokio::test]
#[ignore = "runs as a child process of other tests"]
async fn child_trusts_the_authority() {
    let Some(url) = orders() else { return };
    let store = RedisStore::new(&url).unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    assert_eq!(kind(store.save("alice", &entry(1, "x")).await), Some(StoreErrorKind::Conflict));
}
