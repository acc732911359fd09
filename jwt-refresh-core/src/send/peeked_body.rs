//! The body of a request that can be sent twice if it is in one piece.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// The body of a request that a [`RequestAuthService`](crate::RequestAuthService) sends on.
///
/// A body that is there as a whole, in one piece, is read before the request is sent, so that it
/// can be sent a second time: the data is cloned, which does not copy [`Bytes`]. That is so for an
/// empty body, a `Full`, a `String`, a message of gRPC, and what wraps one of them. All others are
/// streams. At most two of their frames are read ahead, if they are there without waiting.
///
/// [`Bytes`]: https://docs.rs/bytes/1/bytes/struct.Bytes.html
pub struct PeekedBody<B: Body> {
    content: Content<B>,
    /// The size that the body had before it was read. Not known once a frame that was read ahead is
    /// taken.
    hint: SizeHint,
}

/// What is still to be sent.
enum Content<B: Body> {
    /// At most one piece, and nothing after it.
    Whole(Option<B::Data>),
    Stream {
        ahead: VecDeque<ReadFrame<B>>,
        rest: B,
    },
}

type ReadFrame<B> = Result<Frame<<B as Body>::Data>, <B as Body>::Error>;

impl<B: Body + Unpin> PeekedBody<B> {
    /// A body that is not to be sent twice.
    pub(super) fn unread(rest: B) -> Self {
        Self { hint: rest.size_hint(), content: Content::Stream { ahead: VecDeque::new(), rest } }
    }

    /// Reads what is there of a body without waiting, and finds out whether that is all.
    pub(super) async fn peek(mut body: B) -> Self {
        let hint = body.size_hint();
        let content = match next_at_once(&mut body).await {
            Poll::Ready(None) => Content::Whole(None),
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => Self::after_data(frame, body).await,
            first => Content::Stream { ahead: read_ahead(first), rest: body },
        };
        Self { content, hint }
    }

    async fn after_data(frame: Frame<B::Data>, mut body: B) -> Content<B> {
        let second = if body.is_end_stream() { Poll::Ready(None) } else { next_at_once(&mut body).await };
        match (frame.into_data(), second) {
            (Ok(data), Poll::Ready(None)) => Content::Whole(Some(data)),
            (frame, second) => {
                let mut ahead = read_ahead(second);
                ahead.push_front(Ok(frame.map_or_else(|frame| frame, Frame::data)));
                Content::Stream { ahead, rest: body }
            }
        }
    }

    /// Returns a copy of a body that is in one piece.
    pub(super) fn try_clone(&self) -> Option<Self>
    where
        B::Data: Clone,
    {
        match &self.content {
            Content::Whole(piece) => Some(Self { content: Content::Whole(piece.clone()), hint: self.hint }),
            Content::Stream { .. } => None,
        }
    }
}

/// Polls a body once.
async fn next_at_once<B: Body + Unpin>(body: &mut B) -> Poll<Option<ReadFrame<B>>> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *body).poll_frame(context))).await
}

fn read_ahead<T>(polled: Poll<Option<T>>) -> VecDeque<T> {
    match polled {
        Poll::Ready(frame) => frame.into_iter().collect(),
        Poll::Pending => VecDeque::new(),
    }
}

// The data is never pinned.
impl<B: Body + Unpin> Unpin for PeekedBody<B> {}

impl<B: Body + Unpin> Body for PeekedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ReadFrame<B>>> {
        let body = &mut *self;
        let read = match &mut body.content {
            Content::Whole(piece) => piece.take().map(|data| Ok(Frame::data(data))),
            Content::Stream { ahead, rest } => match ahead.pop_front() {
                None => return Pin::new(rest).poll_frame(context),
                frame => frame,
            },
        };
        body.hint = SizeHint::default();
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(piece) => piece.is_none(),
            Content::Stream { ahead, rest } => ahead.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(None) => SizeHint::with_exact(0),
            Content::Stream { ahead, rest } if ahead.is_empty() => rest.size_hint(),
            _ => self.hint,
        }
    }
}

/// An empty body.
impl<B: Body> Default for PeekedBody<B> {
    fn default() -> Self {
        Self { content: Content::Whole(None), hint: SizeHint::with_exact(0) }
    }
}

impl<B: Body> fmt::Debug for PeekedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekedBody")
            .field("is_whole", &matches!(self.content, Content::Whole(_)))
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}
