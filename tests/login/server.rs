//! A server of the test kit that answers each request as a test says, whatever its method and path.

use std::sync::{Arc, Mutex};

use jwt_refresh_testkit::{Answer, Endpoint, Fault, ReceivedRequest, Route, TestServer, Times};
use serde_json::Value;

/// A request that arrived. What a test asks of it has to be there.
#[derive(Clone, Debug)]
pub(crate) struct Seen(ReceivedRequest);

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.0.method()
    }

    /// Without the query.
    pub(crate) fn path(&self) -> &str {
        self.0.path()
    }

    pub(crate) fn query(&self, name: &str) -> &str {
        self.0.query(name).unwrap()
    }

    /// Empty if there is no such header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.0.header(name).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(self.0.body()).unwrap()
    }

    /// The body, if it was sent as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self.0.json().unwrap()
    }

    /// The body, if it was sent as a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        assert_eq!(self.header("content-type"), "application/x-www-form-urlencoded", "{self:?}");
        url::form_urlencoded::parse(self.0.body()).into_owned().collect()
    }
}

pub(crate) struct Server {
    kit: TestServer,
    /// How many requests the test has looked at.
    looked_at: Mutex<usize>,
}

impl Server {
    /// Starts a server. `answer` is given each request, and how many came before it.
    pub(crate) fn start<A: Into<Answer>>(answer: impl FnMut(&Seen, usize) -> A + Send + 'static) -> Self {
        let answer = Arc::new(Mutex::new((answer, 0)));
        let methods = ["DELETE", "GET", "PATCH", "POST", "PUT"];
        let server = methods.into_iter().fold(TestServer::builder(), |server, method| {
            let answer = Arc::clone(&answer);
            let route = Route::new(method, "/{*path}", move |request| {
                let (answer, before) = &mut *answer.lock().unwrap();
                *before += 1;
                answer(&Seen(request.clone()), *before - 1)
            });
            server.route(route.public())
        });
        Self { kit: server.start(), looked_at: Mutex::default() }
    }

    /// Lets the next request of this method fail.
    #[allow(dead_code, reason = "the tests of descriptions do not use it")]
    pub(crate) fn inject(&self, method: &'static str, fault: Fault) {
        self.kit.inject(Endpoint::Route(method, "/{*path}"), fault, Times::Once);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.kit.url(path)
    }

    /// All requests that arrived since this was last called.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut looked_at = self.looked_at.lock().unwrap();
        let new: Vec<_> = self.kit.requests().into_iter().skip(*looked_at).map(Seen).collect();
        *looked_at += new.len();
        new
    }
}
