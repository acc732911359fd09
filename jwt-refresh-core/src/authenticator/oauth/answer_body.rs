//! What huskarl is given of an answer. It takes an answer as a whole or not at all, and a malformed
//! hint in one must cost no token and no login.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::authenticator::response::TokenResponse;
use crate::json::{self, Object};

/// An answer that is known by one of its members. The others are not shown to huskarl.
struct KnownAnswer {
    method: Method,
    member: &'static str,
    members: &'static [ReadMember],
}

/// A member that huskarl has to see.
struct ReadMember {
    name: &'static str,
    reading: MemberReading,
}

/// How a member is read.
enum MemberReading {
    /// Text that is not empty. Anything else counts as missing.
    Text,
    /// The same, which may have this name.
    TextAlsoCalled(&'static str),
    /// Whole seconds, and how many if that is not what is there.
    Seconds(u32),
    /// Whatever it is. `null` counts as missing.
    Any,
    /// An object with these members.
    Object(&'static [ReadMember]),
    /// Not at all: nothing depends on it, and huskarl does not do without.
    EmptyList,
}

/// The others are hints, which [`TokenFields`](crate::TokenFields) reads one by one.
const TOKENS: &[ReadMember] =
    &[text("access_token"), text("id_token"), text("issued_token_type"), text("refresh_token"), text("token_type")];

/// RFC 9126 §2.2. How long the request is kept does not matter: it is used at once.
const PUSHED_REQUEST: &[ReadMember] =
    &[text("request_uri"), ReadMember { name: "expires_in", reading: MemberReading::Seconds(0) }];

/// RFC 8628 §3.2. A code whose life is not known is asked for until the server says that it has
/// expired, for ten minutes at most.
const DEVICE_CODE: &[ReadMember] = &[
    text("device_code"),
    text("user_code"),
    // What it was called in drafts, and still is by Google.
    ReadMember { name: "verification_uri", reading: MemberReading::TextAlsoCalled("verification_url") },
    text("verification_uri_complete"),
    ReadMember { name: "expires_in", reading: MemberReading::Seconds(600) },
    ReadMember { name: "interval", reading: MemberReading::Seconds(5) },
];

/// RFC 7591 §3.2.1
const REGISTERED_CLIENT: &[ReadMember] =
    &[text("client_id"), text("client_secret"), text("token_endpoint_auth_method")];

/// RFC 8414 §2
const SERVER: &[ReadMember] = &[
    text("issuer"),
    text("authorization_endpoint"),
    text("token_endpoint"),
    text("jwks_uri"),
    text("registration_endpoint"),
    text("revocation_endpoint"),
    text("device_authorization_endpoint"),
    text("pushed_authorization_request_endpoint"),
    any("require_pushed_authorization_requests"),
    any("authorization_response_iss_parameter_supported"),
    any("code_challenge_methods_supported"),
    any("id_token_signing_alg_values_supported"),
    ReadMember { name: "response_types_supported", reading: MemberReading::EmptyList },
    ReadMember { name: "mtls_endpoint_aliases", reading: MemberReading::Object(ENDPOINT_ALIASES) },
];

/// RFC 8705 §5
const ENDPOINT_ALIASES: &[ReadMember] = &[
    text("token_endpoint"),
    text("registration_endpoint"),
    text("revocation_endpoint"),
    text("device_authorization_endpoint"),
    text("pushed_authorization_request_endpoint"),
];

const KNOWN: [KnownAnswer; 5] = [
    KnownAnswer { method: Method::POST, member: "access_token", members: TOKENS },
    KnownAnswer { method: Method::POST, member: "request_uri", members: PUSHED_REQUEST },
    KnownAnswer { method: Method::POST, member: "device_code", members: DEVICE_CODE },
    KnownAnswer { method: Method::POST, member: "client_id", members: REGISTERED_CLIENT },
    KnownAnswer { method: Method::GET, member: "issuer", members: SERVER },
];

const fn text(name: &'static str) -> ReadMember {
    ReadMember { name, reading: MemberReading::Text }
}

const fn any(name: &'static str) -> ReadMember {
    ReadMember { name, reading: MemberReading::Any }
}

/// Returns the body of the answer to a request by this method, with what huskarl needs of it if it
/// is one that is known. It is wiped when it is dropped.
pub(super) fn body_for_protocol(method: &Method, answer: &TokenResponse) -> Bytes {
    let rewritten = || {
        let object = Object::parse(&answer.body).ok().filter(|_| answer.status.is_success())?;
        let known = KNOWN.into_iter().find(|known| known.method == *method && object.has(known.member))?;
        // It is not copied while it grows, which would leave tokens behind.
        let mut body = Zeroizing::new(Vec::with_capacity(answer.body.len() + LONGEST_ADDED));
        write_object(&mut body, &object, known.members);
        Some(body)
    };
    Bytes::from_owner(rewritten().unwrap_or_else(|| answer.body.clone()))
}

/// The most that what is written of an answer can be longer than the answer.
const LONGEST_ADDED: usize = 256;

/// Writes these members of an object.
fn write_object(json: &mut Vec<u8>, object: &Object<'_>, members: &[ReadMember]) {
    json.push(b'{');
    for (number, member) in members.iter().filter(|member| member.is_written(object)).enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.extend_from_slice(format!("\"{}\":", member.name).as_bytes());
        member.write_value(json, object);
    }
    json.push(b'}');
}

impl ReadMember {
    fn raw<'a>(&self, object: &Object<'a>) -> Option<&'a RawValue> {
        match self.reading {
            MemberReading::TextAlsoCalled(other) => object.raw(self.name).or_else(|| object.raw(other)),
            _ => object.raw(self.name),
        }
    }

    fn is_written(&self, object: &Object<'_>) -> bool {
        let raw = self.raw(object).map(RawValue::get);
        match self.reading {
            MemberReading::Text | MemberReading::TextAlsoCalled(_) => {
                raw.is_some_and(|raw| raw.starts_with('"') && raw != r#""""#)
            }
            MemberReading::Any => raw.is_some_and(|raw| raw != "null"),
            MemberReading::Object(_) => raw.is_some_and(|raw| raw.starts_with('{')),
            MemberReading::Seconds(_) | MemberReading::EmptyList => true,
        }
    }

    fn write_value(&self, json: &mut Vec<u8>, object: &Object<'_>) {
        let raw = self.raw(object);
        match self.reading {
            MemberReading::Text | MemberReading::TextAlsoCalled(_) | MemberReading::Any => {
                json.extend_from_slice(raw.map_or("null", RawValue::get).as_bytes());
            }
            MemberReading::Seconds(otherwise) => {
                let seconds = raw.and_then(|raw| seconds(self.name, raw)).unwrap_or(otherwise);
                json.extend_from_slice(seconds.to_string().as_bytes());
            }
            MemberReading::Object(members) => match raw.map(|raw| Object::parse(raw.get().as_bytes())) {
                Some(Ok(inner)) => write_object(json, &inner, members),
                _ => json.extend_from_slice(b"{}"),
            },
            MemberReading::EmptyList => json.extend_from_slice(b"[]"),
        }
    }
}

/// Reads seconds as a server writes them. A malformed hint is noted.
fn seconds(name: &str, raw: &RawValue) -> Option<u32> {
    let number = match json::read(name, raw) {
        Ok(value) => json::number(&value?),
        Err(_) => None,
    };
    if number.is_none() {
        json::ignored(name);
    }
    let seconds = Duration::from_secs_f64(number?).as_secs();
    Some(seconds.try_into().unwrap_or(u32::MAX))
}
