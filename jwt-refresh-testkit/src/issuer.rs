//! Issues, refreshes, checks and revokes tokens. Each login starts a *family*: all tokens that
//! descend from it. If a refresh token is used a second time, it was stolen or its answer was lost,
//! and the whole family is revoked (RFC 9700 §4.14.2).

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    RefreshAnswer, TokenFormat, TokenPair,
    accounts::Subject,
    clock::Timestamp,
    settings::Settings,
    signer::{self, Signer},
};

/// How long the tokens live that are issued for a key and secret.
const CLIENT_LIFETIME: Duration = Duration::from_secs(3600);

/// Expired records are not dropped while there are fewer records than this.
const SWEEP_AT_LEAST: usize = 4096;

/// Which account a token was issued to, and from which login it descends.
#[derive(Clone)]
struct Grant {
    subject: Arc<Subject>,
    family: u64,
    bound_to: Option<Arc<str>>,
}

struct AccessRecord {
    expires: Timestamp,
    scope: Arc<str>,
    /// `None` for a key and secret, which have no account and no family.
    grant: Option<Grant>,
    /// Whether the token is a JWT, whose signature is checked as well.
    signed: bool,
}

struct RefreshRecord {
    expires: Timestamp,
    grant: Grant,
    /// When the token was first used, if refresh tokens are valid only once.
    spent: Option<Timestamp>,
}

/// Which refresh token is issued beside an access token.
#[derive(Clone, Copy)]
enum NextRefresh<'a> {
    New,
    Same(&'a str),
    None,
}

/// Why a refresh token was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RefreshRefusal {
    /// The token was never issued, has expired or was revoked.
    Unknown,
    /// The token was spent before. Its family is now revoked.
    Reused,
}

/// What the API needs to know about an access token that this server issued.
pub(crate) struct AccessTokenInfo {
    /// Whether the token has not expired, is signed with the current key, and came as it is bound
    /// to.
    pub(crate) is_valid: bool,
    /// `None` if the token was issued for a key and secret.
    pub(crate) subject: Option<Arc<Subject>>,
    pub(crate) scope: Arc<str>,
}

pub(crate) struct Issuer {
    settings: Settings,
    signer: Signer,
    access: HashMap<String, AccessRecord>,
    refresh: HashMap<String, RefreshRecord>,
    families: u64,
    /// The number of records at which the expired ones are dropped next.
    sweep_at: usize,
}

impl Issuer {
    pub(crate) fn new(settings: Settings, signer: Signer) -> Self {
        Self {
            settings,
            signer,
            access: HashMap::new(),
            refresh: HashMap::new(),
            families: 0,
            sweep_at: SWEEP_AT_LEAST,
        }
    }

    pub(crate) fn access_lifetime(&self) -> Duration {
        self.settings.access_lifetime
    }

    /// Sets how long the access tokens live that are issued from now on.
    pub(crate) fn set_access_lifetime(&mut self, lifetime: Duration) {
        self.settings.access_lifetime = lifetime;
    }

    /// Sets a claim of the JWTs that are issued from now on.
    pub(crate) fn set_claim(&mut self, name: &str, value: Value) {
        self.signer.set_claim(name, value);
    }

    /// Issues the first tokens of a new family.
    pub(crate) fn login(
        &mut self,
        subject: Arc<Subject>,
        bound_to: Option<String>,
        scope: Arc<str>,
        now: Timestamp,
    ) -> TokenPair {
        self.families += 1;
        let grant = Grant { subject, family: self.families, bound_to: bound_to.map(Arc::from) };
        self.issue(grant, scope, NextRefresh::New, now)
    }

    /// Returns the account that a refresh token was issued to, even if the token has expired or is
    /// spent. Does not spend the token.
    pub(crate) fn holder(&self, refresh_token: &str) -> Option<Arc<Subject>> {
        self.refresh.get(refresh_token).map(|record| Arc::clone(&record.grant.subject))
    }

    /// Returns whether a refresh token may be sent by a request that has this of what tokens are
    /// bound to.
    pub(crate) fn is_bound(&self, refresh_token: &str, value: Option<&str>) -> bool {
        self.refresh.get(refresh_token).is_some_and(|record| record.grant.bound_to.as_deref() == value)
    }

    /// Exchanges a refresh token for new tokens, and spends it if refresh tokens rotate.
    pub(crate) fn refresh(
        &mut self,
        refresh_token: &str,
        scope: Arc<str>,
        now: Timestamp,
    ) -> Result<TokenPair, RefreshRefusal> {
        let record =
            self.refresh.get_mut(refresh_token).filter(|record| now < record.expires).ok_or(RefreshRefusal::Unknown)?;
        let grant = record.grant.clone();

        let Some(grace) = self.settings.rotation.grace() else {
            let next = match self.settings.refresh_answer {
                RefreshAnswer::Same => NextRefresh::Same(refresh_token),
                RefreshAnswer::Omit => NextRefresh::None,
            };
            return Ok(self.issue(grant, scope, next, now));
        };
        match record.spent {
            None => record.spent = Some(now),
            // Without a grace period every second use is reuse, even if the machine's clock was set
            // back in between.
            Some(spent) if !grace.is_zero() && now < spent.after(grace) => {}
            Some(_) => {
                self.revoke_family(grant.family);
                return Err(RefreshRefusal::Reused);
            }
        }
        Ok(self.issue(grant, scope, NextRefresh::New, now))
    }

    /// Issues an opaque access token for a key and secret.
    pub(crate) fn issue_for_client(&mut self, scope: Arc<str>, now: Timestamp) -> String {
        let record = AccessRecord { expires: now.after(CLIENT_LIFETIME), scope, grant: None, signed: false };
        self.record_access(signer::opaque(), record, now)
    }

    /// Returns what is known about an access token, or `None` if this server did not issue it or
    /// has dropped its record.
    pub(crate) fn look_up(&self, token: &str, bound_to: Option<&str>, now: Timestamp) -> Option<AccessTokenInfo> {
        let record = self.access.get(token)?;
        let is_bound = record.grant.as_ref().is_none_or(|grant| grant.bound_to.as_deref() == bound_to);
        let is_valid = is_bound && now < record.expires && (!record.signed || self.signer.verifies(token));
        let subject = record.grant.as_ref().map(|grant| Arc::clone(&grant.subject));
        Some(AccessTokenInfo { is_valid, subject, scope: Arc::clone(&record.scope) })
    }

    /// Returns the account that an access token was issued to, even if the token has expired.
    pub(crate) fn subject_of(&self, token: &str) -> Option<&Subject> {
        self.access.get(token)?.grant.as_ref().map(|grant| &*grant.subject)
    }

    /// Invalidates every access token issued so far. The signatures of JWTs no longer verify, and
    /// the records of other tokens are dropped.
    pub(crate) fn rotate_key(&mut self) {
        self.signer.rotate_key();
        self.access.retain(|_, record| record.signed);
    }

    /// Drops the record of every refresh token issued so far. Such a token is unknown from then on,
    /// so presenting it is not counted as reuse.
    pub(crate) fn revoke_refresh_tokens(&mut self) {
        self.refresh.clear();
    }

    /// Invalidates one account's access tokens. Their records stay, so that a call with one of them
    /// is counted for the account.
    pub(crate) fn revoke_access_of(&mut self, email: &str) {
        let grants = self.access.values_mut().filter_map(|record| Some((record.grant.as_ref()?, &mut record.expires)));
        for (_, expires) in grants.filter(|(grant, _)| grant.subject.email == email) {
            *expires = Timestamp::default();
        }
    }

    /// Invalidates one account's refresh tokens. Their records stay, so that a refresh with one of
    /// them is counted for the account.
    pub(crate) fn revoke_refresh_of(&mut self, email: &str) {
        for record in self.refresh.values_mut().filter(|record| record.grant.subject.email == email) {
            record.expires = Timestamp::default();
        }
    }

    fn issue(&mut self, grant: Grant, scope: Arc<str>, next: NextRefresh<'_>, now: Timestamp) -> TokenPair {
        let (access_token, expires) = self.issue_access(&grant, scope, now);
        TokenPair {
            access_token,
            refresh_token: match next {
                NextRefresh::New => Some(self.issue_refresh(grant, now)),
                NextRefresh::Same(token) => Some(token.to_owned()),
                NextRefresh::None => None,
            },
            lifetime: self.settings.access_lifetime,
            expires_at: expires.system_time(),
        }
    }

    /// Returns the token, and when it expires.
    fn issue_access(&mut self, grant: &Grant, scope: Arc<str>, now: Timestamp) -> (String, Timestamp) {
        let lifetime = self.settings.access_lifetime;
        let (issued, expires) = if self.settings.whole_seconds {
            (now.floor(), now.after(lifetime).floor())
        } else {
            (now, now.after(lifetime))
        };
        let token = match self.settings.token_format {
            TokenFormat::Jwt => {
                let exp = self.settings.hints.exp().then_some(expires);
                self.signer.jwt(&grant.subject, &scope, issued, exp)
            }
            TokenFormat::Opaque => signer::opaque(),
            TokenFormat::Jwe => signer::jwe(),
        };
        let record = AccessRecord {
            expires,
            scope,
            grant: Some(grant.clone()),
            signed: self.settings.token_format == TokenFormat::Jwt,
        };
        (self.record_access(token, record, now), expires)
    }

    fn record_access(&mut self, token: String, record: AccessRecord, now: Timestamp) -> String {
        self.sweep_if_due(now);
        self.access.insert(token.clone(), record);
        token
    }

    fn issue_refresh(&mut self, grant: Grant, now: Timestamp) -> String {
        let token = signer::opaque();
        let record = RefreshRecord { expires: now.after(self.settings.refresh_lifetime), grant, spent: None };
        self.refresh.insert(token.clone(), record);
        token
    }

    /// Revokes a refresh token and all tokens of the same login (RFC 7009 §2.1). Returns whether
    /// there was such a token.
    pub(crate) fn revoke(&mut self, refresh_token: &str) -> bool {
        let Some(family) = self.refresh.get(refresh_token).map(|record| record.grant.family) else { return false };
        self.revoke_family(family);
        true
    }

    fn revoke_family(&mut self, family: u64) {
        self.refresh.retain(|_, record| record.grant.family != family);
        self.access.retain(|_, record| match &record.grant {
            Some(grant) => grant.family != family,
            None => true,
        });
    }

    /// Drops expired records each time the number of records has doubled. So there are at most
    /// twice as many records as valid tokens, and the time of a sweep, divided by the tokens issued
    /// since the last one, stays constant.
    fn sweep_if_due(&mut self, now: Timestamp) {
        if self.access.len() + self.refresh.len() < self.sweep_at {
            return;
        }
        self.access.retain(|_, record| now < record.expires);
        self.refresh.retain(|_, record| now < record.expires);
        let alive = self.access.len() + self.refresh.len();
        self.sweep_at = SWEEP_AT_LEAST.max(2 * alive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn expired_records_are_dropped_in_a_long_run() {
        let settings = Settings { token_format: TokenFormat::Opaque, ..Settings::default() };
        let mut issuer = Issuer::new(settings, Signer::new(String::new()));
        let subject = Arc::new(Subject { id: String::new(), email: String::new() });
        let scope = Arc::from("read");
        let mut now = Clock::new(0).now();
        let mut token = issuer.login(subject, None, Arc::clone(&scope), now).refresh_token;
        for _ in 0..100_000 {
            now = now.after(Duration::from_secs(1));
            let spent = token.expect("rotation hands out a new one");
            token = issuer.refresh(&spent, Arc::clone(&scope), now).expect("alive").refresh_token;
            let records = issuer.access.len() + issuer.refresh.len();
            // 60 access tokens and 3600 refresh tokens are valid at any time.
            assert!(records <= 2 * (60 + 3600), "{records} records");
        }
    }
}
