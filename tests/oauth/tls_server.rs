//! A server with TLS that knows clients by their certificates (RFC 8705). It has two ports: one for
//! all clients, and one for those with a certificate that it takes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

/// The authority of a server and of its clients.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        // OpenSSL takes a certificate whose issuer has its name for one that has signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Identity { pem: certificate.pem(), certificate: certificate.into(), key }
    }
}

impl Identity {
    /// One that no authority vouches for (RFC 8705 §2.2).
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.into(), key }
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// RFC 8705 §3.1
fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) body: String,
    authorization: String,
    /// The thumbprint of the client's certificate.
    certificate: Option<String>,
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

pub(crate) struct TlsServer {
    shared: Arc<Shared>,
    /// The port for all, and the one for clients with a certificate.
    ports: [u16; 2],
}

struct Shared {
    arrived: Mutex<Vec<Arrived>>,
    /// The thumbprint of the certificate that the client `catalog` is registered with.
    registered: String,
    is_over: AtomicBool,
}

impl TlsServer {
    /// Starts a server that takes certificates of `authority` and `registered`, which is that of
    /// its one client.
    pub(crate) fn start(authority: &Authority, registered: &Identity) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add(authority.0.der().clone()).unwrap();
        trusted.add(registered.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted.into(), Arc::clone(&provider));
        let verifier = verifier.build().unwrap();
        let own = authority.identity("127.0.0.1");
        let builder =
            || ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let chain = || vec![own.certificate.clone()];
        let public = builder().unwrap().with_no_client_auth().with_single_cert(chain(), own.key_der()).unwrap();
        let certified = builder().unwrap().with_client_cert_verifier(verifier);
        let certified = certified.with_single_cert(chain(), own.key_der()).unwrap();

        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = [0, 1].map(|number: usize| listeners[number].local_addr().unwrap().port());
        let registered = thumbprint(&registered.certificate);
        let shared = Arc::new(Shared { arrived: Mutex::default(), registered, is_over: AtomicBool::new(false) });
        for (listener, config) in listeners.into_iter().zip([public, certified]) {
            let (shared, config) = (Arc::clone(&shared), Arc::new(config));
            std::thread::spawn(move || shared.listen(&listener, &config, ports));
        }
        Self { shared, ports }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[0])
    }

    /// The URL of the API, which takes a token only from the client that it is bound to.
    pub(crate) fn api(&self) -> String {
        format!("https://127.0.0.1:{}/api", self.ports[1])
    }

    /// All requests that arrived since this was last called, but those for the document.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.shared.arrived.lock().unwrap())
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        for port in self.ports {
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener, config: &Arc<ServerConfig>, ports: [u16; 2]) {
        for connection in listener.incoming() {
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            let (shared, config) = (Arc::clone(self), Arc::clone(config));
            std::thread::spawn(move || {
                let mut tcp = connection.unwrap();
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp.try_clone().unwrap());
                if shared.serve(&mut stream, ports).is_err() {
                    // The client reads the alert only if nothing that it has sent is left unread.
                    let _ = tcp.shutdown(Shutdown::Write);
                    let _ = std::io::copy(&mut tcp, &mut std::io::sink());
                }
            });
        }
    }

    /// Answers one request.
    fn serve(&self, tls: &mut Tls, ports: [u16; 2]) -> std::io::Result<()> {
        let mut stream = BufReader::new(&mut *tls);
        let (mut line, mut length, mut authorization) = (String::new(), 0, String::new());
        stream.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header)?;
            match header.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    value.clone_into(&mut authorization);
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let certificate = tls.conn.peer_certificates().map(|chain| thumbprint(&chain[0]));
        let body = String::from_utf8(body).unwrap();
        let (status, answer) = self.answer(&Arrived { path, body, authorization, certificate }, ports);
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
        tls.write_all((head + &answer).as_bytes())?;
        tls.conn.send_close_notify();
        tls.flush()
    }

    fn answer(&self, request: &Arrived, ports: [u16; 2]) -> (u16, String) {
        let [issuer, certified] = ports.map(|port| format!("https://127.0.0.1:{port}"));
        if request.path == crate::provider::OPENID {
            let document = json!({
                "issuer": issuer, "token_endpoint": format!("{issuer}/token"), "response_types_supported": ["code"],
                "mtls_endpoint_aliases": {
                    "token_endpoint": format!("{certified}/token"), "revocation_endpoint": format!("{certified}/revoke"),
                },
            });
            return (200, document.to_string());
        }
        let mut arrived = self.arrived.lock().unwrap();
        let (number, bound_to) = (arrived.len(), request.certificate.clone().unwrap_or_default());
        arrived.push(request.clone());
        let is_client = bound_to == self.registered && request.body.contains("client_id=catalog");
        let is_owner = request.authorization.strip_prefix("Bearer ").and_then(|token| token.strip_suffix(&bound_to));
        match request.path.as_str() {
            "/token" if is_client => {
                let (access, refresh) = (format!("access-{number}-{bound_to}"), format!("refresh-{number}"));
                let tokens = json!({
                    "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600,
                });
                (200, tokens.to_string())
            }
            "/revoke" if is_client => (200, String::new()),
            "/api" if is_owner.is_some() => (200, String::new()),
            "/api" => (401, String::new()),
            _ => (401, json!({ "error": "invalid_client" }).to_string()),
        }
    }
}
