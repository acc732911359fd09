//! Which tokens the session holds: new ones, those of another process, those that could not be
//! saved, and none after a logout.

use super::{Phase, SessionState};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::renewal::{IssuedTokens, Lifetime, RefreshCredential};
use crate::session::held::{HeldToken, shortened};
use crate::session::login_end::LoginEnd;
use crate::session::outage::Outage;
use crate::session::pending::RenewalResult;
use crate::session::unsaved::{TokenSource, UnsavedTokens};
use crate::token::{AccessToken, RefreshToken};

impl SessionState {
    /// Takes new tokens, and ends a renewal or a pause.
    pub(super) fn accept(&mut self, issued: IssuedTokens) -> AccessToken {
        self.phase = Phase::Idle;
        self.failures = 0;
        self.outage = Outage::new();
        self.set_tokens(issued)
    }

    /// Takes new tokens, and ends a renewal. Its callers look again if it found the token in the
    /// store that the session has already, and that was rejected meanwhile.
    pub(super) fn accepted(&mut self, issued: IssuedTokens) -> RenewalResult {
        let token = self.accept(issued);
        if self.held.as_ref().is_some_and(|held| held.life == Lifetime::EXPIRED) {
            let what = "the token in the store was rejected before it was found there";
            return RenewalResult::Inconclusive(Error::new(ErrorKind::Aborted, what));
        }
        RenewalResult::Renewed(token)
    }

    /// Takes new tokens, unless they are the ones that the session has already. Returns the current
    /// token.
    fn set_tokens(&mut self, issued: IssuedTokens) -> AccessToken {
        self.note_login_end(&issued);
        let IssuedTokens { token, begins, life, credential, sequence, .. } = issued;
        self.credential = credential;
        // The number alone does not say so: if the store fails, two processes may give it to tokens
        // of their own.
        let is_known = |held: &&HeldToken| sequence == self.sequence && held.token.expose() == token.expose();
        if let Some(held) = self.held.as_ref().filter(is_known) {
            return held.token.clone();
        }
        if self.held.as_ref().is_some_and(|held| held.had_a_good_life(begins)) {
            self.tokens_die_early = false;
        }
        self.generation += 1;
        self.sequence = sequence;
        self.unsaved = None;
        let life = if self.tokens_die_early { shortened(begins, life) } else { life };
        let held = HeldToken::new(token, self.generation, begins, life);
        let token = held.token.clone();
        self.held = Some(held);
        token
    }

    /// Notes when the login ends. What was said of a refresh token holds for as long as that is not
    /// replaced.
    pub(super) fn note_login_end(&mut self, issued: &IssuedTokens) {
        if issued.login_ends.is_some() || issued.credential.token() != self.credential.token() {
            self.login_end = issued.login_ends.and_then(|at| LoginEnd::new(issued.begins, at));
        }
    }

    /// Replaces all tokens. A renewal under way is overtaken.
    pub(in crate::session) fn adopt(&mut self, issued: IssuedTokens) {
        self.epoch += 1;
        self.forget_rejections();
        self.forget_answers();
        self.accept(issued);
    }

    /// Forgets the captured tokens that the session was built with, unless it has others by now.
    pub(in crate::session) fn discard_captured(&mut self) {
        if self.sequence == 0 {
            self.held = None;
            self.credential = RefreshCredential::None;
        }
    }

    /// Takes tokens of another process in place of those of `sequence`, which were given up, unless
    /// these were replaced before. Returns whether they were taken.
    pub(in crate::session) fn replace(&mut self, sequence: u64, found: IssuedTokens) -> bool {
        let is_current = self.sequence == sequence && !self.is_logged_out();
        if is_current {
            self.set_tokens(found);
        }
        is_current
    }

    /// Notes that the tokens could not be saved, unless the session has others by now.
    pub(in crate::session) fn keep_unsaved(&mut self, issued: IssuedTokens, source: TokenSource) {
        if self.sequence == issued.sequence && !self.is_logged_out() {
            self.unsaved = Some(Box::new(UnsavedTokens { issued, source }));
        }
    }

    /// Returns the current tokens if the store does not have them.
    pub(in crate::session) fn unsaved(&self) -> Option<UnsavedTokens> {
        Some(self.unsaved.as_ref()?.renewed_with(&self.credential))
    }

    /// Notes that the store has the tokens after all, if `is_saved` says so of those that could not
    /// be saved.
    pub(in crate::session) fn note_saved(&mut self, is_saved: impl FnOnce(&UnsavedTokens) -> bool) {
        self.unsaved.take_if(|unsaved| is_saved(unsaved));
    }

    /// Notes that the tokens of one sequence are in the store, and have another one there.
    pub(in crate::session) fn renumber(&mut self, from: u64, to: u64) {
        if self.sequence == from && self.held.is_some() {
            self.unsaved = None;
            self.sequence = to;
        }
    }

    /// Puts the refresh token in doubt, unless it is older than `sequence`: the store has lost what
    /// was written after the token of that sequence. Returns it.
    pub(in crate::session) fn doubt(&mut self, sequence: u64) -> Option<RefreshToken> {
        if sequence > self.sequence || self.unsaved.is_some() {
            return None;
        }
        self.credential = self.credential.clone().in_doubt();
        self.credential.token().cloned()
    }

    /// Notes which token a renewal is about to save. In the store it is no other process's.
    pub(in crate::session) fn saving(&mut self, token: AccessToken) {
        self.saving = Some(token);
    }

    /// Takes tokens that another process has put into the store, if they are newer than the current
    /// ones. Returns whether they were taken. A renewal under way goes on, and finds them in the
    /// store too.
    pub(in crate::session) fn follow(&mut self, issued: IssuedTokens, now: Moment) -> bool {
        let is_own = self.saving.as_ref().is_some_and(|saving| saving.expose() == issued.token.expose());
        let adopted = self.unsaved.as_ref().filter(|unsaved| unsaved.is_adoption());
        if is_own || adopted.is_some() || issued.sequence <= self.sequence || self.is_logged_out() {
            return false;
        }
        if self.held.as_ref().is_some_and(|held| held.token.expose() == issued.token.expose()) {
            // A refresh for another access token of the login leaves this one as it is.
            self.take_credential(&issued);
            self.unsaved = None;
            return false;
        }
        if now.reached(issued.life.expires) && self.held.as_ref().is_some_and(|held| held.is_alive(now)) {
            // An access token that has died displaces none that lives.
            if issued.credential != RefreshCredential::None {
                self.credential = issued.credential;
                self.sequence = issued.sequence;
                self.unsaved = None;
            }
            return false;
        }
        if matches!(self.phase, Phase::Renewing { .. }) {
            self.set_tokens(issued);
        } else {
            self.accept(issued);
        }
        true
    }

    /// Forgets the access token, of which the session of the login may bring another one. A renewal
    /// under way is overtaken.
    pub(in crate::session) fn forget_token(&mut self) {
        self.epoch += 1;
        self.generation += 1;
        self.held = None;
        self.phase = Phase::Idle;
    }

    /// Forgets all tokens. A renewal under way is overtaken.
    pub(in crate::session) fn log_out(&mut self) {
        self.epoch += 1;
        self.generation += 1;
        self.held = None;
        self.unsaved = None;
        self.credential = RefreshCredential::None;
        self.login_end = None;
        self.forget_rejections();
        self.phase = Phase::LoggedOut;
    }
}
