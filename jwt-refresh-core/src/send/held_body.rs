//! The body of an answer that holds the lease of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use crate::sync::Mutex;

/// A body, and what is dropped when the body is.
pub(super) struct HeldBody<B, T> {
    body: B,
    /// In a lock because a body has to be `Sync`, and a token need not be.
    _held: Mutex<T>,
}

impl<B, T> HeldBody<B, T> {
    pub(super) fn new(body: B, held: T) -> Self {
        Self { body, _held: Mutex::new(held) }
    }
}

// What is held is never pinned.
impl<B: Unpin, T> Unpin for HeldBody<B, T> {}

impl<B: Body + Unpin, T> Body for HeldBody<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
