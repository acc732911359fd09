//! A server that records each request and answers as a test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, if it was sent as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The body, if it was sent as a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        assert_eq!(self.header("content-type"), "application/x-www-form-urlencoded", "{self:?}");
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

/// What a test answers.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A JSON answer.
pub(crate) fn json(body: impl Into<Value>) -> Answer {
    Answer { status: 200, headers: vec![("content-type", "application/json".into())], body: body.into().to_string() }
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: String::new() }
}

impl Answer {
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    fn into_response(self) -> Response {
        let response = Response::builder().status(self.status);
        let with_headers = self.headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        with_headers.body(Body::from(self.body)).unwrap()
    }
}

pub(crate) struct Server {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Starts a server. `answer` is given each request, and how many came before it.
    pub(crate) async fn start(answer: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (record, answer, count) = (Arc::clone(&seen), Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let router = axum::Router::new().fallback(move |request: Request| {
            let (record, answer, count) = (Arc::clone(&record), Arc::clone(&answer), Arc::clone(&count));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let request = Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                let response = answer(&request, count.fetch_add(1, Ordering::SeqCst)).into_response();
                record.lock().unwrap().push(request);
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// All requests that arrived since this was last called.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}
