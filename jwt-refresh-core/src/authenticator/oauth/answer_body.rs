//! What huskarl is given of an answer. It takes an answer as a whole or not at all, and a malformed
//! hint in one must cost no token.

use bytes::Bytes;
use http::Method;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::authenticator::response::TokenResponse;
use crate::json::Object;

/// The members of a token answer that huskarl has to see, which are text. The others are read by
/// [`TokenFields`](crate::TokenFields), one by one.
const OF_TOKENS: [&str; 5] = ["access_token", "id_token", "issued_token_type", "refresh_token", "token_type"];

/// Returns the body of the answer to a request by this method, with what huskarl needs of it if it
/// has tokens or is about a device. It is wiped when it is dropped.
pub(super) fn body_for_protocol(method: &Method, answer: &TokenResponse) -> Bytes {
    let rewritten = || {
        let object = Object::parse(&answer.body).ok().filter(|_| *method == Method::POST)?;
        if object.has("access_token") {
            let is_needed = |name: &str, value: &RawValue| OF_TOKENS.contains(&name) && is_text(value);
            let members = object.into_fields().filter(|(name, value)| is_needed(name, value));
            return Some(written(members, answer.body.len()));
        }
        // What `verification_uri` was called in drafts of RFC 8628, and still is by Google.
        let is_draft = object.has("verification_url") && !object.has("verification_uri");
        let renamed = |name: String| if name == "verification_url" { "verification_uri".to_owned() } else { name };
        is_draft.then(|| {
            let members = object.into_fields().map(|(name, value)| (renamed(name), value));
            written(members, answer.body.len())
        })
    };
    Bytes::from_owner(rewritten().unwrap_or_else(|| answer.body.clone()))
}

/// Returns whether a value is a string that is not empty.
fn is_text(value: &RawValue) -> bool {
    value.get().starts_with('"') && value.get() != r#""""#
}

/// Writes an object that is not longer than the one that its members are of.
fn written<'a>(members: impl Iterator<Item = (String, &'a RawValue)>, longest: usize) -> Zeroizing<Vec<u8>> {
    let mut object = Zeroizing::new(Vec::with_capacity(longest));
    object.push(b'{');
    for (name, value) in members {
        if object.len() > 1 {
            object.push(b',');
        }
        object.extend_from_slice(serde_json::Value::String(name).to_string().as_bytes());
        object.push(b':');
        object.extend_from_slice(value.get().as_bytes());
    }
    object.push(b'}');
    object
}
