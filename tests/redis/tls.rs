//! TLS: a server whose authority is trusted is used, and no other.

use std::process::Command;

use jwt_refresh::store::{RedisStore, StoreErrorKind, TokenStore};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::server::{Server, free_port};
use crate::{entry, kind};

/// A server that speaks TLS on a port beside its plain one, and the file that holds its authority.
async fn server() -> (Server, u16, String) {
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
    let server = Server::with(&options).await;
    (server, port, ca)
}

#[tokio::test]
async fn a_trusted_server_is_used_and_no_other() {
    let (server, port, ca) = server().await;
    let url = format!("rediss://127.0.0.1:{port}");
    let error = RedisStore::new(&url).unwrap().load("alice").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("certificate"), "it says what is wrong: {error}");

    // Whom to trust is read from the environment, so from a process of its own.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::child_that_trusts_the_authority", "--ignored"])
        .envs([("JWT_REFRESH_REDIS_CHILD", &url), ("SSL_CERT_FILE", &ca)])
        .output();
    let child = child.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(server.say::<u32>("DBSIZE").await, 1);
    std::fs::remove_dir_all(std::path::Path::new(&ca).parent().unwrap()).unwrap();
}

#[tokio::test]
#[ignore = "run as a process of its own by a_trusted_server_is_used_and_no_other"]
async fn child_that_trusts_the_authority() {
    let Ok(url) = std::env::var("JWT_REFRESH_REDIS_CHILD") else { return };
    let store = RedisStore::new(&url).unwrap();
    store.save("alice", &entry(1, "x")).await.unwrap();
    assert_eq!(kind(store.save("alice", &entry(1, "x")).await), Some(StoreErrorKind::Conflict));
}
