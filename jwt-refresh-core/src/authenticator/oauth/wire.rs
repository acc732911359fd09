//! Sends the requests that huskarl makes, by the HTTP client of the core.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use url::Url;

use crate::authenticator::http::endpoint::Endpoint;
use crate::authenticator::http::transport::{Outgoing, Transport};
use crate::authenticator::http_client::{HttpClient, LocalEndpoints};
use crate::authenticator::response::TokenResponse;
use crate::error::{Error, ErrorKind};
use crate::plaintext::Plaintext;
use crate::sync::Mutex;

/// The user's HTTP client, and where it may send credentials. Which endpoints there are is known
/// only when the server has named them.
#[derive(Clone)]
pub(super) struct Wire(Arc<Clients>);

struct Clients {
    client: HttpClient,
    plaintext: Plaintext,
    /// The clients in use, which are shared while they are held.
    transports: Mutex<Vec<(LocalEndpoints, Transport)>>,
}

impl Wire {
    pub(super) fn new(client: HttpClient, plaintext: Plaintext) -> Self {
        Self(Arc::new(Clients { client, plaintext, transports: Mutex::default() }))
    }

    pub(super) fn with_client(&self, client: &HttpClient) -> Self {
        Self::new(client.clone(), self.0.plaintext)
    }

    /// Returns an endpoint, or an error if credentials must not be sent there.
    pub(super) fn endpoint(&self, url: &str) -> Result<Endpoint, Error> {
        Endpoint::parse(url, self.0.plaintext)
    }

    /// Returns the client for an endpoint.
    pub(super) fn transport(&self, endpoint: &Endpoint) -> Result<Transport, Error> {
        let local = LocalEndpoints {
            names: endpoint.local_name().map(str::to_owned).into_iter().collect(),
            plaintext: self.0.plaintext == Plaintext::LoopbackOnly && endpoint.is_plaintext(),
        };
        let mut transports = self.0.transports.lock();
        if let Some((_, transport)) = transports.iter().find(|(known, _)| *known == local) {
            return Ok(transport.clone());
        }
        let transport = Transport::new(&self.0.client, &local)?;
        transports.push((local, transport.clone()));
        Ok(transport)
    }

    /// Sends a request and returns the whole answer.
    pub(super) async fn send(&self, action: &str, request: Request<Bytes>) -> Result<TokenResponse, Error> {
        let url = request.uri().to_string();
        let endpoint = self.endpoint(&url)?;
        let transport = self.transport(&endpoint)?;
        let (parts, body) = request.into_parts();
        let unfit = |_| Error::new(ErrorKind::Configuration, format!("the {action} cannot be sent")).at(&url);
        let body = String::from_utf8(body.into()).map_err(|error| unfit(error.to_string()))?;
        let outgoing = Outgoing {
            method: parts.method,
            url: Url::parse(&url).map_err(|error| unfit(error.to_string()))?,
            headers: parts.headers,
            body: Some(body).filter(|body| !body.is_empty()),
        };
        transport.send(action, &endpoint, outgoing).await
    }
}
