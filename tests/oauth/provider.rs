//! An OAuth 2.0 server that publishes its endpoints, and answers requests for tokens as a test
//! says.

use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::server::{Seen, Server};

pub(crate) const OPENID: &str = "/.well-known/openid-configuration";

/// Starts a server. `answer` is given each request but those for the document, and how many came
/// before it, of which those count.
pub(crate) fn provider(mut answer: impl FnMut(&Seen, usize) -> Answer + Send + 'static) -> Server {
    let mut asked = 0;
    Server::start(move |request, _| {
        if request.path() == OPENID {
            return document(request, &json!({}));
        }
        asked += 1;
        answer(request, asked - 1)
    })
}

/// The document of the server that is asked, with these members in it.
pub(crate) fn document(request: &Seen, members: &Value) -> Answer {
    let issuer = issuer(request);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        // Whatever the server says of its methods, the client was configured with one.
        "token_endpoint_auth_methods_supported": ["client_secret_jwt"],
    });
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
    Answer::new(200).json(&document)
}

pub(crate) fn issuer(request: &Seen) -> String {
    format!("http://{}", request.header("host"))
}

/// A token answer (RFC 6749 §5.1). The number is in the tokens.
pub(crate) fn tokens(number: usize) -> Answer {
    let (access, refresh) = (format!("access-{number}"), format!("refresh-{number}"));
    let answer = json!({
        "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600, "scope": "read",
    });
    Answer::new(200).json(&answer)
}

/// A token answer with this access token, and a refresh token with the number in it.
pub(crate) fn granted(access: &str, number: usize) -> Answer {
    let refresh = format!("refresh-{number}");
    let answer =
        json!({ "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600 });
    Answer::new(200).json(&answer)
}

pub(crate) fn refusal(code: &str) -> Answer {
    Answer::new(400).json(&json!({ "error": code, "error_description": "S3cret" }))
}

/// The requests for tokens among these.
pub(crate) fn for_tokens(requests: &[Seen]) -> Vec<&Seen> {
    requests.iter().filter(|request| request.path() == "/token").collect()
}

/// The values of a field of a form.
pub(crate) fn values(request: &Seen, name: &str) -> Vec<String> {
    request.form().into_iter().filter_map(|(known, value)| (known == name).then_some(value)).collect()
}

/// The value of a field of a form.
pub(crate) fn value(request: &Seen, name: &str) -> Option<String> {
    let mut values = values(request, name);
    assert!(values.len() <= 1, "{name} is there more than once");
    values.pop()
}
