//! Sends the requests that huskarl makes, by the HTTP client of the core.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use url::Url;

use crate::authenticator::http::endpoint::Endpoint;
use crate::authenticator::http::transport::{Outgoing, Transport};
use crate::authenticator::http_client::{HttpClient, LocalEndpoints};
use crate::authenticator::response::TokenResponse;
use crate::clock::SigningTime;
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
    connection: TlsClient,
    local_hosts: LocalHosts,
    /// The time of the server, once it has refused that of this machine.
    time: Arc<SigningTime>,
    /// The clients in use, which are shared while they are held.
    transports: Mutex<Vec<(LocalEndpoints, Transport)>>,
}

/// What the server sees of the client when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsClient {
    Anonymous,
    /// A certificate, by which the client authenticates or to which its tokens are bound.
    Certified,
}

/// Whether requests may go to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LocalHosts {
    Admitted,
    /// What the URLs are is said by another machine, which has no say in what is reached here.
    Refused,
}

impl Wire {
    pub(super) fn new(client: HttpClient, plaintext: Plaintext, connection: TlsClient) -> Self {
        let (local_hosts, time, transports) = (LocalHosts::Admitted, Arc::default(), Mutex::default());
        Self(Arc::new(Clients { client, plaintext, connection, local_hosts, time, transports }))
    }

    pub(super) fn with_client(&self, client: &HttpClient) -> Self {
        Self::new(client.clone(), self.0.plaintext, self.0.connection).with_local_hosts(self.0.local_hosts)
    }

    pub(super) fn with_local_hosts(&self, local_hosts: LocalHosts) -> Self {
        let Clients { client, plaintext, connection, time, .. } = &*self.0;
        let (client, time, transports) = (client.clone(), Arc::clone(time), Mutex::default());
        let (plaintext, connection) = (*plaintext, *connection);
        Self(Arc::new(Clients { client, plaintext, connection, local_hosts, time, transports }))
    }

    /// Returns the clock by which times are signed for the server.
    pub(super) fn time(&self) -> Arc<SigningTime> {
        Arc::clone(&self.0.time)
    }

    pub(super) fn connection(&self) -> TlsClient {
        self.0.connection
    }

    /// Returns an endpoint, or an error if credentials must not be sent there, or nothing at all.
    pub(super) fn endpoint(&self, url: &str) -> Result<Endpoint, Error> {
        let endpoint = Endpoint::parse(url, self.0.plaintext)?;
        if self.0.local_hosts == LocalHosts::Refused && endpoint.is_local() {
            let error = Error::new(ErrorKind::Configuration, "a resource on another machine leads to this one").at(url);
            return Err(error.advising("name the server yourself: `OAuth::builder`"));
        }
        Ok(endpoint)
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
        let (transport, endpoint, outgoing) = self.outgoing(action, request)?;
        transport.send(action, &endpoint, outgoing).await
    }

    /// Sends a request and returns the status and the headers of the answer.
    pub(super) async fn send_for_head(
        &self,
        action: &str,
        request: Request<Bytes>,
    ) -> Result<(StatusCode, HeaderMap), Error> {
        let (transport, endpoint, outgoing) = self.outgoing(action, request)?;
        transport.send_for_head(action, &endpoint, outgoing).await
    }

    fn outgoing(&self, action: &str, request: Request<Bytes>) -> Result<(Transport, Endpoint, Outgoing), Error> {
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
        Ok((transport, endpoint, outgoing))
    }
}
