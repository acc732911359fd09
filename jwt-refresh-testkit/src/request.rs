//! A request as the server received it, for the closure of a route and for the test that looks at
//! it afterwards.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    body::Bytes,
    extract::ConnectInfo,
    http::{HeaderMap, Uri, header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::Origin;

/// The headers whose values `Debug` shows. Every other value may be a secret, since each API has a
/// header of its own for keys.
const SHOWN: [header::HeaderName; 14] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::RANGE,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
];

/// A request that the server received.
///
/// The closure of a [`Route`](crate::Route) gets one, and
/// [`TestServer::requests`](crate::TestServer::requests) returns those of all endpoints. A clone
/// shares the body.
///
/// `Debug` shows no secret: of the body its length, of the query the names, and the values of
/// headers only if they are known to hold none, as `Content-Type`.
#[derive(Clone)]
pub struct ReceivedRequest(Arc<Inner>);

struct Inner {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    peer: IpAddr,
    account: Option<String>,
    /// What stands in the path where the route has `{name}`.
    params: Vec<(String, String)>,
}

impl ReceivedRequest {
    pub(crate) fn new(head: &Parts, body: Bytes, account: Option<String>, params: Vec<(String, String)>) -> Self {
        let origin = head.extensions.get::<ConnectInfo<Origin>>();
        Self(Arc::new(Inner {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: query(&head.uri),
            headers: head.headers.clone(),
            body,
            peer: origin.map_or(Ipv4Addr::LOCALHOST.into(), |ConnectInfo(origin)| origin.peer),
            account,
            params,
        }))
    }

    /// Returns the method, such as `POST`.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Returns the path without the query, as it was sent: `/orders/7`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Returns the part of the path that stands where the route has `{name}`, percent-decoded. A
    /// part that is not UTF-8 then has replacement characters.
    ///
    /// # Panics
    ///
    /// If the request's route has no such part, or the request has no route of the API.
    #[track_caller]
    pub fn param(&self, name: &str) -> &str {
        match find(&self.0.params, name) {
            Some(value) => value,
            None => panic!("no {{{name}}} in the route of {} {}", self.method(), self.path()),
        }
    }

    /// Returns the value of a parameter of the query, decoded. If it is there more than once, this
    /// is the first.
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.0.query, name)
    }

    /// Returns the value of a header, whatever the case of `name`: `None` if it is missing or not
    /// text, the first if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name)?.to_str().ok()
    }

    /// Returns the body. It is empty if there is none.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Reads the body as JSON, whatever its `Content-Type`.
    ///
    /// # Errors
    ///
    /// If the body is not JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.0.body)
    }

    /// Returns the IP address that the request came from: 127.0.0.1, unless the client chose
    /// another one of the machine.
    pub fn peer(&self) -> IpAddr {
        self.0.peer
    }

    /// Returns the text of a field of the body, if that was sent as JSON or as a form: the
    /// `Content-Type` decides. In JSON, `data.user` is the field `user` of the object in `data`.
    /// `None` if there is no such field, or if it is no text.
    pub fn field(&self, name: &str) -> Option<String> {
        if let Some(json) = self.sent_json::<Value>() {
            let field = name.split('.').try_fold(&json, |object, name| object.get(name));
            return field?.as_str().map(str::to_owned);
        }
        self.sent_form_field(name)
    }

    /// Returns the value of a cookie that the client sent (RFC 6265 §4.2).
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let headers = self.0.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies =
            headers.flat_map(|header| header.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        cookies.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Returns the email address of the account whose access token the request carries, even if the
    /// token has expired meanwhile. `None` if there is no token, or it is not an account's.
    pub fn account(&self) -> Option<&str> {
        self.0.account.as_deref()
    }

    /// Reads the body if it was sent as JSON, with its `Content-Type`.
    pub(crate) fn sent_json<T: DeserializeOwned>(&self) -> Option<T> {
        let kind = self.content_type()?;
        let is_json = kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json");
        is_json.then(|| self.json().ok())?
    }

    /// Reads a field of the body if it was sent as a form, with its `Content-Type`.
    pub(crate) fn sent_form_field(&self, name: &str) -> Option<String> {
        if self.content_type()? != "application/x-www-form-urlencoded" {
            return None;
        }
        let mut fields = form_urlencoded::parse(&self.0.body);
        fields.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
    }

    /// Returns the media type of the body, in lower case and without parameters.
    fn content_type(&self) -> Option<String> {
        let value = self.header(header::CONTENT_TYPE.as_str())?;
        Some(value.split(';').next()?.trim().to_ascii_lowercase())
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<_> = self.0.query.iter().map(|(name, _)| name).collect();
        f.debug_struct("ReceivedRequest")
            .field("method", &self.0.method)
            .field("path", &self.0.path)
            .field("query", &query)
            .field("headers", &ShownHeaders(&self.0.headers))
            .field("body", &format_args!("{} bytes", self.0.body.len()))
            .field("account", &self.0.account)
            .finish()
    }
}

struct ShownHeaders<'a>(&'a HeaderMap);

impl fmt::Debug for ShownHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            if SHOWN.contains(name) {
                map.entry(&name.as_str(), value);
            } else {
                map.entry(&name.as_str(), &format_args!("[redacted]"));
            }
        }
        map.finish()
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}
