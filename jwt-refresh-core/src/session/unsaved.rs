//! Tokens that a session has, and that could not be written to its store.

use crate::renewal::{IssuedTokens, RefreshCredential};

/// Tokens that the store does not have, as far as is known, so that no other process knows them.
#[derive(Clone, Debug)]
pub(super) struct UnsavedTokens {
    pub(super) issued: IssuedTokens,
    pub(super) source: TokenSource,
}

/// Where tokens come from, which decides what they may displace in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenSource {
    /// A renewal brought them. What another process has renewed meanwhile is as good.
    Renewal,
    /// The user brought them, and what another process makes of an older login displaces them
    /// neither here nor in the store.
    Adoption(Adoption),
}

/// The number of an adoption, by which the session that made it knows it again, also if others have
/// followed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adoption(pub(super) u64);

impl Adoption {
    /// Returns an adoption that no other process makes.
    pub(super) fn new() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl UnsavedTokens {
    pub(super) fn is_adoption(&self) -> bool {
        matches!(self.source, TokenSource::Adoption(_))
    }

    /// Returns the tokens with what the session can renew them with now.
    pub(super) fn renewed_with(&self, credential: &RefreshCredential) -> Self {
        Self { issued: IssuedTokens { credential: credential.clone(), ..self.issued.clone() }, ..self.clone() }
    }
}

/// What has become of adopted tokens that could not be written.
pub(super) enum AdoptionWrite {
    /// There were none, or they were replaced meanwhile.
    Nothing,
    /// The store has them, or what others have made of them.
    InStore,
    /// A logout came after them. This is what they could be renewed with.
    LoggedOut(RefreshCredential),
}
