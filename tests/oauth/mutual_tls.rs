//! TLS connections by whose certificate the client authenticates (RFC 8705), with true handshakes.

use jwt_refresh::oauth::{Grant, OAuth};
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{Authenticator, Bearer, ErrorKind, HttpClient, RefreshToken, Session, Tokens};

use crate::tls_server::{Authority, Identity, TlsServer};

/// The TLS of a client of reqwest.
#[derive(Clone, Copy, Debug)]
enum Tls {
    Rustls,
    #[cfg(feature = "native-tls")]
    Native,
}

const EACH: &[Tls] = &[
    Tls::Rustls,
    #[cfg(feature = "native-tls")]
    Tls::Native,
];

impl Tls {
    /// A client that trusts this authority, and has this certificate.
    fn client(self, authority: &Authority, identity: Option<&Identity>) -> HttpClient {
        let trusted = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let identity = identity.map(|identity| self.identity(identity));
        HttpClient::new(move || {
            let client = match self {
                Self::Rustls => reqwest::Client::builder().tls_backend_rustls(),
                #[cfg(feature = "native-tls")]
                Self::Native => reqwest::Client::builder().tls_backend_native(),
            };
            let client = client.no_proxy().tls_certs_only([trusted.clone()]);
            identity.iter().fold(client, |client, identity| client.identity(identity.clone()))
        })
    }

    fn identity(self, identity: &Identity) -> reqwest::Identity {
        let (certificate, key) = (identity.certificate_pem(), identity.key_pem());
        match self {
            Self::Rustls => reqwest::Identity::from_pem((key + certificate).as_bytes()).unwrap(),
            #[cfg(feature = "native-tls")]
            Self::Native => reqwest::Identity::from_pkcs8_pem(certificate.as_bytes(), key.as_bytes()).unwrap(),
        }
    }
}

fn login(server: &TlsServer, client: &HttpClient) -> OAuth {
    let builder = OAuth::builder(server.issuer(), Grant::jwt_bearer("assertion"));
    builder.tls_client_auth("catalog").client(client.clone()).build().unwrap()
}

async fn call(server: &TlsServer, session: &Session, client: &HttpClient) -> Option<u16> {
    let token = session.token().await.unwrap();
    let answer = client.calls().unwrap().get(server.api()).bearer(&token).send().await;
    answer.ok().map(|answer| answer.status().as_u16())
}

/// Logs in, refreshes, calls and logs out by this certificate.
async fn use_certificate(tls: Tls, authority: &Authority, identity: &Identity) {
    let server = TlsServer::start(authority, identity);
    let client = tls.client(authority, Some(identity));
    let session = Session::new(login(&server, &client));
    assert_eq!(call(&server, &session, &client).await, Some(200), "{tls:?}");
    session.refresh_now().await.unwrap();
    assert_eq!(call(&server, &session, &client).await, Some(200), "{tls:?}");
    // A token that is bound to a certificate is of no use without it, or with another one.
    let other = tls.client(authority, Some(&authority.identity("other.example")));
    assert_eq!(call(&server, &session, &other).await, Some(401), "{tls:?}");
    assert_eq!(call(&server, &session, &tls.client(authority, None)).await, None, "{tls:?}");
    session.logout().await.unwrap();
    let arrived = server.arrived();
    let paths: Vec<_> = arrived.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/token", "/api", "/token", "/api", "/api", "/revoke"], "{tls:?}");
    assert!(arrived[2].body.contains("refresh_token=refresh-0"), "{arrived:?}");
}

#[tokio::test]
async fn a_client_logs_in_refreshes_calls_and_logs_out_by_the_certificate_of_an_authority() {
    let authority = Authority::new();
    for &tls in EACH {
        use_certificate(tls, &authority, &authority.identity("catalog.example")).await;
    }
}

#[tokio::test]
async fn a_client_logs_in_refreshes_calls_and_logs_out_by_a_certificate_that_it_has_signed_itself() {
    for &tls in EACH {
        use_certificate(tls, &Authority::new(), &Identity::self_signed("catalog.example")).await;
    }
}

#[tokio::test]
async fn a_refresh_without_a_certificate_that_the_server_takes_says_so_and_spends_nothing() {
    let authority = Authority::new();
    let (registered, stranger) = (authority.identity("catalog.example"), Authority::new().identity("catalog.example"));
    for &tls in EACH {
        for identity in [None, Some(&stranger)] {
            let server = TlsServer::start(&authority, &registered);
            let client = tls.client(&authority, identity);
            // If the server closes the connection before the request is begun, its reason is lost.
            let mut said = String::new();
            for _ in 0..20 {
                let error = login(&server, &client).refresh(&RefreshToken::from("refresh-0")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unreachable, "{tls:?} {error:?}");
                said = error.to_string();
                if said.contains("TLS certificate") {
                    break;
                }
            }
            assert!(said.contains("does not take the TLS certificate of the refresh"), "{said}");
            assert!(said.contains("`ClientBuilder::identity`"), "{said}");
            let store = MemoryStore::new();
            let tokens = Tokens::new("captured").unwrap().refresh_token("refresh-0");
            let session = |client| Session::builder(login(&server, client)).store(store.clone(), "ada");
            let first = session(&client).tokens(tokens.clone()).build();
            let error = first.refresh_now().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{tls:?} {error:?}");
            first.flush().await;
            drop(first);
            let client = tls.client(&authority, Some(&registered));
            session(&client).tokens(tokens).build().refresh_now().await.unwrap();
            let arrived = server.arrived();
            assert_eq!(arrived.len(), 1, "{arrived:?}");
            assert!(arrived[0].body.contains("refresh_token=refresh-0"), "{arrived:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_the_clients_is_named_as_the_cause() {
    let authority = Authority::new();
    for &tls in EACH {
        let server = TlsServer::start(&authority, &authority.identity("catalog.example"));
        let client = tls.client(&authority, Some(&authority.identity("other.example")));
        let error = login(&server, &client).login().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, Some("invalid_client")), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("register the certificate of the HTTP client, and its client ID, at the server")
        );
    }
}
