//! Asks a provider for a token that meets the challenge in an answer.

use super::answer_head::AnswerHead;
use crate::provider::{Renewal, TokenProvider};

/// Returns a future that waits for a token with which a request can be sent again, if the answer
/// says what the token lacks and the provider can get that. Its error says what is lacking, and its
/// source why it cannot be had.
#[cold]
pub(crate) fn step_up<P: TokenProvider<Token = T> + ?Sized, T: 'static>(
    provider: &P,
    token: &T,
    head: AnswerHead<'_>,
) -> Option<Renewal<T>> {
    let (challenge, insufficient) = head.challenge()?;
    let renewal = provider.step_up(token, &challenge)?;
    Some(Box::pin(async move { renewal.await.map_err(|error| insufficient.into_error().caused_by(error)) }))
}
