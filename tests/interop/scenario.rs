//! Which description is for which server, and which API takes its tokens.

use std::path::PathBuf;

use jwt_refresh::store::MemoryStore;
use jwt_refresh::{AccessToken, HttpAuthenticator, HttpAuthenticatorBuilder, Session};

use crate::server::{Rotation, Server, Software};
use crate::support::http_client;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) software: Software,
    /// The description, in `examples/servers`.
    pub(crate) file: &'static str,
    pub(crate) api: &'static str,
    /// The environment variable by which the description takes the URL.
    pub(crate) url_variable: &'static str,
}

pub(crate) const OPAQUE: Scenario =
    Scenario { software: Software::OidcProvider, file: "oidc_provider.toml", api: "/me", url_variable: "OIDC_URL" };

pub(crate) const JWT: Scenario = Scenario { file: "oidc_provider_jwt.toml", api: "/api/me", ..OPAQUE };

pub(crate) const CLIENT: Scenario = Scenario { file: "oidc_provider_client.toml", api: "/api/me", ..OPAQUE };

pub(crate) const SLIDING: Scenario =
    Scenario { file: "simplejwt_sliding.toml", ..simplejwt(Rotation::ReplacedAndBlacklisted) };

pub(crate) const fn simplejwt(rotation: Rotation) -> Scenario {
    Scenario {
        software: Software::SimpleJwt(rotation),
        file: "simplejwt.toml",
        api: "/api/me/",
        url_variable: "SIMPLEJWT_URL",
    }
}

/// Those with a refresh.
pub(crate) const REFRESHING: [Scenario; 6] = [
    OPAQUE,
    JWT,
    simplejwt(Rotation::Kept),
    simplejwt(Rotation::Replaced),
    simplejwt(Rotation::ReplacedAndBlacklisted),
    SLIDING,
];

impl Scenario {
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/servers").join(self.file)
    }

    /// The description, with the URL of this server in it.
    pub(crate) fn described(&self, server: &Server) -> HttpAuthenticatorBuilder {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let urls = ["http://127.0.0.1:3000", "http://127.0.0.1:8000"];
        assert!(urls.iter().any(|url| text.contains(url)), "{text}");
        let text = urls.iter().fold(text, |text, url| text.replace(url, &server.url()));
        HttpAuthenticator::from_toml(&text).unwrap()
    }

    pub(crate) fn authenticator(&self, server: &Server) -> HttpAuthenticator {
        self.described(server).build().unwrap()
    }

    pub(crate) async fn session(&self, server: &Server, store: &MemoryStore) -> Session {
        Session::builder(self.authenticator(server)).store(store.clone(), "ada").connect().await.unwrap()
    }

    /// Calls the API, and returns the status of the answer.
    pub(crate) async fn call(&self, url: &str, token: &AccessToken) -> u16 {
        let request = http_client().get(format!("{url}{}", self.api)).header("authorization", token);
        request.send().await.unwrap().status().as_u16()
    }
}
