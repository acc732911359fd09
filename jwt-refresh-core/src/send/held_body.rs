//! The body of an answer that holds the lease of its request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use crate::sync::Mutex;

/// The body of an answer. The token of the request, which may be a lease of a pool, is dropped when
/// the body is.
#[cfg_attr(not(feature = "tower"), expect(unreachable_pub, reason = "users see it behind a layer"))]
pub struct HeldBody<B, T> {
    body: B,
    /// `None` if the request had no token. In a lock because a body may have to be `Sync`, and a
    /// token need not be.
    _token: Option<Mutex<T>>,
}

impl<B, T> HeldBody<B, T> {
    pub(super) fn new(body: B, token: T) -> Self {
        Self { body, _token: Some(Mutex::new(token)) }
    }

    #[cfg(feature = "tower")]
    pub(super) fn without_token(body: B) -> Self {
        Self { body, _token: None }
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

impl<B: fmt::Debug, T> fmt::Debug for HeldBody<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody").field("body", &self.body).finish_non_exhaustive()
    }
}
