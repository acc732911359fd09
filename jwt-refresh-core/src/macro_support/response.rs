//! The status and the headers of the response that an annotated method returns, if it returns one,
//! for `#[refresh_token(retry)]`.
//!
//! *Deref-based specialization*, as in `answer`: [`ResponseResult`], then [`OtherResult`].

use std::ops::Deref;

use crate::send::ResponseHead;
use crate::send::answer_head::AnswerHead;

/// Returns what says what the response in `result` is, if there is one.
pub fn response<R>(result: &R) -> ResponseResult<'_, R> {
    ResponseResult(OtherResult(result))
}

/// The result of a method whose value is a response.
#[derive(Debug)]
pub struct ResponseResult<'a, R>(OtherResult<'a, R>);

/// Any other result.
#[derive(Debug)]
pub struct OtherResult<'a, R>(&'a R);

impl<'a, T: ResponseHead, E> ResponseResult<'a, Result<T, E>> {
    #[inline]
    pub fn head(&self) -> Option<AnswerHead<'a>> {
        self.0.0.as_ref().ok().map(T::head)
    }
}

impl<'a, R> OtherResult<'a, R> {
    #[expect(clippy::unused_self, reason = "it stands in for the method of `ResponseResult`")]
    #[inline]
    pub fn head(&self) -> Option<AnswerHead<'a>> {
        None
    }
}

impl<'a, R> Deref for ResponseResult<'a, R> {
    type Target = OtherResult<'a, R>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
