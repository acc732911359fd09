//! What a session keeps in the store: its tokens, and what another process has to know of them.
//! `record_format` says how that is written.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::record_times::{Written, on_this_clock};
use super::unsaved::{Adoption, TokenSource, UnsavedTokens};
use crate::clock::{Moment, Timestamp};
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Lifetime, RefreshCredential};
use crate::secret::Secret;
use crate::token::{AccessToken, ProofKey, RefreshToken};

/// The content of an account's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The sequence of the account's newest access token.
    pub(super) sequence: u64,
    /// The server that the tokens are for, if that is known.
    pub(super) server: Option<String>,
    /// The fingerprint of the last captured refresh token that was sent.
    pub(super) captured: Option<String>,
    /// The adoption that these tokens are of, or follow on.
    pub(super) adoption: Option<Adoption>,
    pub(super) status: LoginStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoginStatus {
    Active(Active),
    LoggedOut,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Active {
    /// The access token that was asked for without further parameters.
    pub(super) access: Option<StoredToken>,
    /// Access tokens of the same login for other parameters (scope, audience, resource), as they
    /// are written.
    pub(super) others: Vec<Secret>,
    pub(super) credential: RefreshCredential,
    /// Set just before the refresh token is spent, and cleared when the outcome is written. If a
    /// process that has the lease finds the mark of another one, that process has died in between.
    pub(super) mark: Option<Mark>,
    /// When the refresh token expires, in nanoseconds since the epoch, if that is known.
    pub(super) refresh_expires: Option<i64>,
    pub(super) unknown: UnknownFields,
}

/// An access token in the store.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct StoredToken {
    pub(super) token: Secret,
    /// The key that it is bound to, if any.
    pub(super) key: Option<ProofKey>,
    pub(super) written: Written,
    pub(super) unknown: UnknownFields,
}

impl std::fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredToken").field("written", &self.written).finish_non_exhaustive()
    }
}

/// The fields of an entry that this version does not know, with their values as they were read. A
/// later version has written them, and finds them again.
pub(super) type UnknownFields = Vec<(String, Secret)>;

/// The number of a mark, by which the session that made it knows it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(pub(super) u64);

impl Mark {
    /// A mark of a version that gave them no numbers.
    pub(super) const UNNUMBERED: Self = Self(0);

    /// Returns a mark that no other process makes.
    pub(super) fn new() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl Record {
    /// Returns a record without tokens, to note a credential in.
    pub(super) fn empty(sequence: u64) -> Self {
        Self { sequence, server: None, captured: None, adoption: None, status: LoginStatus::Active(Active::default()) }
    }

    /// Returns the record of a logout that follows on `self`. It keeps nothing that may be secret.
    pub(super) fn logged_out(&self) -> Self {
        Self { status: LoginStatus::LoggedOut, ..self.clone() }
    }

    /// Returns the record of tokens that follow on `self`, as the clock shows `now`.
    pub(super) fn with_tokens(&self, issued: &IssuedTokens, now: Moment) -> Self {
        let active = Active {
            access: Some(stored(issued, now)),
            credential: issued.credential.clone(),
            mark: None,
            refresh_expires: issued.login_ends.map(|ends| ends.wall.as_nanos()),
            ..self.active().cloned().unwrap_or_default()
        };
        Self { sequence: issued.sequence, status: LoginStatus::Active(active), ..self.clone() }
    }

    /// Returns the record of a login, which has no access tokens of the one before.
    pub(super) fn without_others(&self) -> Self {
        let active = Active { others: Vec::new(), ..self.active().cloned().unwrap_or_default() };
        Self { status: LoginStatus::Active(active), ..self.clone() }
    }

    /// Returns the record of the tokens of `sequence`, whose access token is not known.
    pub(super) fn without_access(&self, sequence: u64) -> Self {
        let active = Active { access: None, ..self.active().cloned().unwrap_or_default() };
        Self { sequence, status: LoginStatus::Active(active), ..self.clone() }
    }

    /// Returns the record with another credential.
    pub(super) fn with_credential(&self, credential: RefreshCredential, mark: Option<Mark>) -> Self {
        let active = Active { credential, mark, ..self.active().cloned().unwrap_or_default() };
        Self { status: LoginStatus::Active(active), ..self.clone() }
    }

    /// Returns the record with a note that the captured `token` is sent.
    pub(super) fn with_captured(&self, token: &RefreshToken) -> Self {
        Self { captured: Some(fingerprint(token)), ..self.clone() }
    }

    /// Returns whether the captured `token` was sent before.
    pub(super) fn has_used(&self, token: &RefreshToken) -> bool {
        self.captured.as_ref() == Some(&fingerprint(token))
    }

    /// Returns the record of tokens that the user has brought, which displace all others.
    pub(super) fn with_adopted(&self, issued: &IssuedTokens, adoption: Adoption, now: Moment) -> Self {
        Self { adoption: Some(adoption), ..self.with_tokens(issued, now) }
    }

    /// Returns whether the record has these tokens.
    pub(super) fn has_tokens(&self, issued: &IssuedTokens) -> bool {
        self.active().is_some_and(|active| {
            let access = active.access.as_ref().map(|access| access.token.expose());
            access == Some(issued.token.expose()) && active.credential.token() == issued.credential.token()
        })
    }

    /// Returns whether the record shows that these tokens were saved, though the answer was lost:
    /// it is of them or of what followed on them.
    pub(super) fn shows_saved(&self, UnsavedTokens { issued, source }: &UnsavedTokens) -> bool {
        match source {
            TokenSource::Adoption(adoption) => self.adoption == Some(*adoption),
            TokenSource::Renewal => self.sequence == issued.sequence && self.has_tokens(issued),
        }
    }

    pub(super) fn is_logged_out(&self) -> bool {
        self.status == LoginStatus::LoggedOut
    }

    /// Returns what the account has, unless it is logged out.
    pub(super) fn active(&self) -> Option<&Active> {
        match &self.status {
            LoginStatus::Active(active) => Some(active),
            LoginStatus::LoggedOut => None,
        }
    }

    /// Returns what the account can be refreshed with, unless it is logged out.
    pub(super) fn credential(&self) -> Option<&RefreshCredential> {
        self.active().map(|active| &active.credential)
    }

    /// Returns the tokens for a session that reads the record. `server_ahead` is by how many
    /// nanoseconds the server's clock is ahead of this process's, if that is known.
    pub(super) fn issued_tokens(
        &self,
        policy: &Policy,
        now: Moment,
        server_ahead: Option<i64>,
    ) -> Option<IssuedTokens> {
        self.issued_as(self.active()?.access.as_ref()?, policy, now, server_ahead)
    }

    /// Does the same for one of the access tokens.
    pub(super) fn issued_as(
        &self,
        stored: &StoredToken,
        policy: &Policy,
        now: Moment,
        server_ahead: Option<i64>,
    ) -> Option<IssuedTokens> {
        let active = self.active()?;
        let token = AccessToken::new(stored.token.expose()).ok()?;
        let token = stored.key.iter().cloned().fold(token, |token, key| token.bound_to(key));
        let times = on_this_clock(stored.written, token.dates().expires_at, now.wall, server_ahead);
        let begins = now.at_wall(times.begins);
        let credential = active.credential.clone();
        Some(IssuedTokens {
            token,
            begins,
            life: Lifetime::new(policy, begins, times.expires, fastrand::f64()),
            // While it is being sent, it is no other process's to send.
            credential: if active.mark.is_some() { credential.unanswered() } else { credential },
            login_ends: active.refresh_expires.map(|time| now.at_wall(Timestamp::from_nanos(time))),
            server_ahead: times.server_ahead,
            sequence: self.sequence,
        })
    }
}

/// Returns an access token as an entry has it.
pub(super) fn stored(issued: &IssuedTokens, now: Moment) -> StoredToken {
    let expires = issued.life.expires.wall;
    let written = Written {
        issued: now.wall.as_nanos(),
        expires: (expires != Timestamp::NEVER).then_some(expires.as_nanos()),
        server_ahead: issued.server_ahead,
    };
    let key = issued.token.key().cloned();
    StoredToken { token: issued.token.expose().into(), key, written, unknown: Vec::new() }
}

/// Returns a name for a refresh token that does not tell it.
fn fingerprint(token: &RefreshToken) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(token.expose())[..16])
}
