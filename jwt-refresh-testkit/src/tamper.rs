//! Tampers with the bodies of answers: tears them, slows them down, takes fields out, and makes up endless ones.

use std::{convert::Infallible, io, iter, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{header::CONTENT_LENGTH, response::Parts},
    response::Response,
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

/// In how many pieces [`slow_down`] sends a body that has as many bytes.
const PIECES: usize = 20;

/// Takes `field` out of a JSON object; leaves any other body alone.
pub(crate) async fn remove_field(answer: Response, field: &str) -> Response {
    let (head, body) = open(answer).await;
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&body) else {
        return Response::from_parts(head, body.into());
    };
    object.remove(field);
    let body = Value::Object(object).to_string();
    Response::from_parts(head, body.into())
}

/// Sends the body in small pieces over so long.
pub(crate) async fn slow_down(answer: Response, time: Duration) -> Response {
    let (head, body) = open(answer).await;
    let size = body.len().div_ceil(PIECES).max(1);
    let pieces: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let pause = time / u32::try_from(pieces.len().max(1)).expect("at most PIECES");
    let pieces = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(piece)
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

/// Announces the whole body, sends the first half, and fails, whereupon hyper closes the connection.
pub(crate) async fn cut_in_half(answer: Response) -> Response {
    let (mut head, body) = open(answer).await;
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let failure = stream::once(async {
        // hyper sends what it has when the body makes it wait, and drops it if the body fails straight away.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Response::from_parts(head, Body::from_stream(half.chain(failure)))
}

/// A JSON object of so many bytes with little but an `access_token` in it. Its length is not known beforehand.
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

/// Takes an answer apart, to be put together with another body and so perhaps with another length.
async fn open(answer: Response) -> (Parts, Bytes) {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let body = to_bytes(body, usize::MAX).await.expect("the handlers answer from memory");
    (head, body)
}
