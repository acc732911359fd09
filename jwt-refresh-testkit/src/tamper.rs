//! Changes the bodies of answers: cuts them off, slows them down, removes fields, and makes very
//! long ones.

use std::{collections::BTreeMap, convert::Infallible, io, iter, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{header::CONTENT_LENGTH, response::Parts},
    response::Response,
};
use futures_util::{StreamExt as _, stream};
use serde_json::value::RawValue;

/// How many pieces [`slow_down`] divides a body into, at most.
const PIECES: usize = 20;

/// Puts `json` into `field` of a JSON object, or takes the field out if `json` is `None`. Any other
/// body is not changed.
pub(crate) async fn edit_field(answer: Response, field: &str, json: Option<&str>) -> Response {
    let (head, body) = into_head_and_body(answer).await;
    let json = json.map(|json| RawValue::from_string(json.to_owned()).expect("checked when it was injected"));
    let changed = serde_json::from_slice(&body).ok().and_then(|body| changed(body, field, json));
    let body = changed.map_or_else(|| body.into(), |json| Body::from(json.get().to_owned()));
    Response::from_parts(head, body)
}

/// Changes a field of an object, by its name or by names joined by dots. The rest stays as it was
/// written, such as numbers that no number type holds. `None` if this is no object, or if the
/// object that the names lead to is missing.
fn changed(object: &RawValue, field: &str, json: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    let inner;
    if let Some((outer, rest)) = field.split_once('.').filter(|_| !fields.contains_key(field)) {
        inner = Some(changed(fields.get(outer)?, rest, json)?);
        fields.insert(outer.to_owned(), inner.as_deref()?);
    } else {
        inner = json;
        match inner.as_deref() {
            Some(json) => fields.insert(field.to_owned(), json),
            None => fields.remove(field),
        };
    }
    serde_json::value::to_raw_value(&fields).ok()
}

/// Sends the body in small pieces, over `time` in all.
pub(crate) async fn slow_down(answer: Response, time: Duration) -> Response {
    let (head, body) = into_head_and_body(answer).await;
    let size = body.len().div_ceil(PIECES).max(1);
    let pieces: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let pause = time / u32::try_from(pieces.len().max(1)).expect("at most PIECES");
    let pieces = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(piece)
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

/// Announces the length of the whole body, sends the first half, and fails. hyper then closes the
/// connection.
pub(crate) async fn cut_in_half(answer: Response) -> Response {
    let (mut head, body) = into_head_and_body(answer).await;
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let failure = stream::once(async {
        // hyper sends what it has when the body is pending. If the body failed at once, hyper would
        // discard the first half.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Response::from_parts(head, Body::from_stream(half.chain(failure)))
}

/// Returns a JSON object of `bytes` bytes that consists of an `access_token`. The answer has no
/// `Content-Length`, since the length is not known beforehand.
pub(crate) fn huge_body(bytes: u64) -> Body {
    const HEAD: &[u8] = br#"{"access_token":""#;
    const TAIL: &[u8] = br#""}"#;
    const FILLER: &[u8; 16 * 1024] = &[b'a'; 16 * 1024];

    let filler = bytes.saturating_sub((HEAD.len() + TAIL.len()) as u64);
    let size = FILLER.len() as u64;
    let remainder = usize::try_from(filler % size).expect("less than the size of a slice");
    let pieces = iter::once(HEAD)
        .chain((0..filler / size).map(|_| FILLER.as_slice()))
        .chain([&FILLER[..remainder], TAIL])
        .map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
    Body::from_stream(stream::iter(pieces))
}

/// Splits an answer. `Content-Length` is removed from the head, since the caller may put it
/// together with a body of another length.
async fn into_head_and_body(answer: Response) -> (Parts, Bytes) {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let body = to_bytes(body, usize::MAX).await.expect("the handlers answer from memory");
    (head, body)
}
