//! A request of a description, checked and ready to be sent with the values of one exchange.

use std::collections::BTreeSet;
use std::fmt;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::answer_match::{AnswerMatch, AnswerMeaning};
use super::body::{Body, BodyTemplate};
use super::client_auth::{self, BasicAuth, BasicEncoding, ClientAuth};
use super::endpoint::Endpoint;
use super::mistake::mistake;
use super::request::HttpRequest;
use super::template::Template;
use super::transport::{Outgoing, Transport};
use super::values::Values;
use crate::authenticator::refusal::Asked;
use crate::authenticator::response::{TokenResponse, retry_after};
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::plaintext::Plaintext;
use crate::shape::Shape;
use crate::token::AnswerPlace;

/// What all requests of a description are checked against.
pub(super) struct Surroundings<'a> {
    pub(super) client_auth: Option<&'a ClientAuth>,
    pub(super) plaintext: Plaintext,
}

/// A request that can be sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PreparedRequest {
    method: Method,
    pub(super) endpoint: Endpoint,
    headers: Vec<(HeaderName, Template)>,
    cookies: Vec<(String, Template)>,
    basic_auth: Option<BasicAuth>,
    body: BodyTemplate,
    captures: Vec<(String, AnswerPlace)>,
    rules: Vec<(AnswerMatch, AnswerMeaning)>,
    /// The names of all values that are sent.
    names: BTreeSet<String>,
}

impl PreparedRequest {
    /// Checks a request. `key` names it in errors, and `known` are the values that it may send.
    pub(super) fn new(
        key: &str,
        mut request: HttpRequest,
        known: &BTreeSet<String>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, Error> {
        let method = request.method.trim().to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| mistake(&format!("{key}.method"), "this is not an HTTP method; write `POST` or `GET`"))?;
        if let Some(client_auth) = surroundings.client_auth.filter(|_| method != Method::GET) {
            let completed = client_auth.complete(&mut request.body);
            request.note(|| "client_auth".to_owned(), completed);
        }
        if let Some((field, misfit)) = &request.misfit {
            let what = format!("it asks for {}, and the body is {}; use one of the two", misfit.asked, misfit.has);
            return Err(mistake(&format!("{key}.{field}"), what));
        }
        let mut names = BTreeSet::new();
        let mut parse = |field: &str, text: &str| template(&format!("{key}.{field}"), text, known, &mut names);
        let endpoint = parse("url", &request.url)?;
        let endpoint = Endpoint::of(&request.url, endpoint, surroundings.plaintext).map_err(|error| {
            let what = format!("in the description, `{key}.url`: {}", error.what());
            error.restated(ErrorKind::Configuration, what)
        })?;
        let headers = request.headers.iter().map(|(name, value)| {
            let field = format!("headers.{name}");
            let header = name.parse::<HeaderName>();
            let header = header.map_err(|_| mistake(&format!("{key}.{field}"), "this is not the name of a header"))?;
            Ok((header, parse(&field, value)?))
        });
        let headers = headers.collect::<Result<Vec<_>, Error>>()?;
        let cookies = request.cookies.iter();
        let cookies = cookies.map(|(name, value)| Ok((name.clone(), parse(&format!("cookies.{name}"), value)?)));
        let cookies = cookies.collect::<Result<Vec<_>, Error>>()?;
        let basic_auth = basic_auth(&request, surroundings.client_auth, &mut parse)?;
        let body = BodyTemplate::parse(&request.body, &mut parse)?;
        if method == Method::GET && !matches!(request.body, Body::Empty) {
            return Err(mistake(
                &format!("{key}.method"),
                "a GET has no body; write `POST`, or put the values into the URL",
            ));
        }
        let captures = captures(key, &request)?;
        Ok(Self { method, endpoint, headers, cookies, basic_auth, body, captures, rules: request.rules, names })
    }

    /// Returns the names of the values that are sent.
    pub(super) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    pub(super) fn captures(&self) -> &[(String, AnswerPlace)] {
        &self.captures
    }

    /// Sends the request, and returns the answer if it is a success. `action` names the request in
    /// errors.
    pub(super) async fn send(
        &self,
        transport: &Transport,
        (action, asked): (&str, Asked),
        values: &Values,
    ) -> Result<TokenResponse, Error> {
        let outgoing = self.outgoing(values)?;
        let answer = transport.send(action, &self.endpoint, outgoing).await?;
        self.judge(&answer, action, asked).map_err(|error| error.at(&self.endpoint)).map(|()| answer)
    }

    fn outgoing(&self, values: &Values) -> Result<Outgoing, Error> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let body = self.body.render(values);
        if let Some(body) = &body {
            headers.insert(CONTENT_TYPE, body.content_type.clone());
        }
        if let Some(value) = self.basic_auth.as_ref().and_then(|basic_auth| basic_auth.header(values)) {
            headers.insert(AUTHORIZATION, sensitive(value));
        }
        for (name, template) in &self.headers {
            headers.insert(name, header_value(name.as_str(), &template.render_plain(values))?);
        }
        if !self.cookies.is_empty() {
            let cookies = self.cookies.iter().map(|(name, template)| cookie(name, template, values));
            let cookies = cookies.collect::<Result<Vec<_>, Error>>()?.join("; ");
            headers.insert(COOKIE, header_value("cookie", &cookies)?);
        }
        let body = body.map(|body| body.bytes.to_string());
        Ok(Outgoing { method: self.method.clone(), url: self.endpoint.url(values)?, headers, body })
    }

    /// Returns an error if the answer is no success, by the rules of the description or by the
    /// table.
    fn judge(&self, answer: &TokenResponse, action: &str, asked: Asked) -> Result<(), Error> {
        let rule = self.rules.iter().find(|(answers, _)| answers.matches(answer.status, answer.parts()));
        let Some((_, meaning)) = rule else { return answer.expect_success(action, Some(asked)) };
        let (kind, what, in_doubt) = match meaning {
            AnswerMeaning::Success => return Ok(()),
            AnswerMeaning::Dead => (ErrorKind::Denied, format!("the {action} was denied"), false),
            AnswerMeaning::Later => (ErrorKind::Unavailable, format!("the server takes no {action} now"), false),
            AnswerMeaning::InDoubt => (ErrorKind::Unavailable, format!("the server failed at the {action}"), true),
        };
        let error = Error::new(kind, what).answered(answer.status).with_body(answer.body_kind()).judged();
        let error = answer.code().into_iter().fold(error, |error, code| error.coded(&code));
        let error = retry_after(&answer.headers).into_iter().fold(error, Error::retry_in);
        Err(error.leaving_in_doubt(in_doubt))
    }

    /// Adds what the request captures to `values`, as far as it is in an answer that has tokens.
    /// What is missing beside them costs no token.
    pub(super) fn capture_found(&self, answer: &TokenResponse, values: &mut Values) {
        for (name, place) in &self.captures {
            match place.find(answer.parts()) {
                Ok(Some(value)) => values.set(name, value),
                Ok(None) | Err(_) => json::ignored(name),
            }
        }
    }

    /// Adds what the request captures in its answer to `values`, for the next step of the login.
    ///
    /// # Errors
    ///
    /// If something is missing there. The error shows the shape of the answer.
    pub(super) fn capture(
        &self,
        answer: &TokenResponse,
        (action, asked): (&str, Asked),
        values: &mut Values,
    ) -> Result<(), Error> {
        for (name, place) in &self.captures {
            let missing = |wrong: String| {
                let shape = Shape(&answer.body);
                let detail = format!("{wrong}: `{name}` was expected in {place}, and the answer is {shape}");
                let error = Error::unlike_expected(format!("the {action} brought no usable `{name}`"), detail);
                answer.without_value(error, action, Some(asked)).at(&self.endpoint)
            };
            let value = place.find(answer.parts()).map_err(missing)?;
            values.set(name, value.ok_or_else(|| missing(format!("{place} is missing")))?);
        }
        Ok(())
    }

    /// Says in which format the request was sent, for a server that may want the other one.
    pub(super) fn is_form(&self) -> bool {
        matches!(self.body, BodyTemplate::Form(_))
    }
}

impl fmt::Debug for PreparedRequest {
    /// Shows where the request goes and which values it sends, by their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.method, self.endpoint, self.names)
    }
}

/// Parses a template, and notes which values it stands for.
fn template(key: &str, text: &str, known: &BTreeSet<String>, names: &mut BTreeSet<String>) -> Result<Template, Error> {
    let template = Template::parse(text)
        .map_err(|_| mistake(key, "a brace is not closed; write `{{` for a brace that begins no placeholder"))?;
    if let Some(unknown) = template.placeholders().find(|name| !known.contains(*name)) {
        // What is no name may be a password with braces in it.
        let is_name = (1..=32).contains(&unknown.len())
            && unknown.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.');
        let shown = if is_name { format!("the placeholder `{{{unknown}}}`") } else { "a placeholder".to_owned() };
        let known: Vec<String> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let what = format!("{shown} is unknown; there are {known}, `secret` adds more, and `{{{{` is a brace");
        return Err(mistake(key, what));
    }
    names.extend(template.placeholders().map(str::to_owned));
    Ok(template)
}

/// Returns the Basic authentication of the request, or that of the client.
fn basic_auth(
    request: &HttpRequest,
    client_auth: Option<&ClientAuth>,
    parse: &mut impl FnMut(&str, &str) -> Result<Template, Error>,
) -> Result<Option<BasicAuth>, Error> {
    let (user, password, encoding) = match (&request.basic_auth, client_auth) {
        (Some((user, password)), _) => (user.as_str(), password.as_str(), BasicEncoding::Plain),
        (None, Some(client_auth)) if client_auth.is_basic() => {
            (client_auth::ID_PLACEHOLDER, client_auth::SECRET_PLACEHOLDER, BasicEncoding::Form)
        }
        _ => return Ok(None),
    };
    let (user, password) = (parse("basic_auth.user", user)?, parse("basic_auth.password", password)?);
    Ok(Some(BasicAuth { user, password, encoding }))
}

fn captures(key: &str, request: &HttpRequest) -> Result<Vec<(String, AnswerPlace)>, Error> {
    let capture = |(name, place): &(String, String)| {
        let place = AnswerPlace::parse(place);
        let key = format!("{key}.capture.{name}");
        if let Some(what) = place.mistake() {
            return Err(mistake(&key, what));
        }
        Ok((name.clone(), place))
    };
    if let Some(what) = request.rules.iter().find_map(|(answers, _)| answers.mistake()) {
        return Err(mistake(&format!("{key}.rules"), what));
    }
    request.captures.iter().map(capture).collect()
}

/// Returns a cookie with these values in it. None of them may begin another one.
fn cookie(name: &str, template: &Template, values: &Values) -> Result<String, Error> {
    let value = template.render_plain(values);
    if value.matches(';').count() != template.filled_with("").matches(';').count() {
        let what = format!("a value in the cookie `{name}` has a semicolon, which would begin another cookie");
        return Err(Error::new(ErrorKind::Configuration, what));
    }
    Ok(format!("{name}={}", &*value))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(value).map_err(|_| {
        let what = format!("a value in the header `{name}` has a character that no header may have");
        Error::new(ErrorKind::Configuration, what)
    })?;
    Ok(sensitive(value))
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(request: HttpRequest, value: &str) -> Result<Outgoing, Error> {
        let known = BTreeSet::from(["v".to_owned()]);
        let surroundings = Surroundings { client_auth: None, plaintext: Plaintext::LoopbackOnly };
        let prepared = PreparedRequest::new("login", request, &known, &surroundings).unwrap();
        prepared.outgoing(&Values::default().with_text("v", value))
    }

    #[test]
    fn a_value_that_would_lead_to_another_path_is_refused() {
        let path = |template: &str, value: &str| {
            let sent = outgoing(HttpRequest::post(format!("https://api.example{template}")), value);
            sent.map(|sent| sent.url[url::Position::BeforePath..].to_owned())
        };
        for (template, value) in
            [("/a/{v}/b", ".."), ("/a/{v}", ".."), ("/a/{v}/b", "."), ("/a/{v}", "."), ("/a/.{v}/b?{v}", ".")]
        {
            let error = path(template, value).expect_err(template);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{template}");
            assert!(error.to_string().contains("another path"), "{error}");
        }
        for (template, value, expected) in [
            ("/a/{v}/b", "...", "/a/.../b"),
            ("/a/{v}/b", "a..b", "/a/a..b/b"),
            ("/a/{v}/b", "../..", "/a/..%2F../b"),
            ("/a/{v}/b", "%2e", "/a/%252e/b"),
            ("/a/x{v}", "..", "/a/x.."),
            ("/a?q={v}", "..", "/a?q=.."),
            ("/a/../{v}", "b", "/b"),
        ] {
            assert_eq!(path(template, value).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_value_that_would_begin_another_cookie_is_refused() {
        let cookies = |template: &str, value: &str| {
            let sent = outgoing(HttpRequest::post("https://api.example").cookie("a", template), value);
            sent.map(|sent| sent.headers[COOKIE].to_str().unwrap().to_owned())
        };
        let error = cookies("{v}", "1; admin=1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("cookie `a`") && !error.to_string().contains("admin"), "{error}");
        assert_eq!(cookies("{v}", "1 2=,\"3\"").unwrap(), "a=1 2=,\"3\"");
        assert_eq!(cookies("{v}; b=2", "1").unwrap(), "a=1; b=2");
    }
}
