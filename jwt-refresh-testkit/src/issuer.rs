//! Issues, renews, checks and revokes tokens. Each login starts a *family*: every token that descends from it. A refresh
//! token that is used a second time has been stolen or lost, and takes its whole family with it (RFC 9700 §4.14.2).

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    RefreshAnswer, TokenFormat,
    accounts::Subject,
    clock::Timestamp,
    settings::Settings,
    signer::{self, Signer},
};

/// How long tokens for a key and secret live.
const CLIENT_LIFETIME: Duration = Duration::from_secs(3600);

/// Fewer records than this are not worth sweeping.
const SWEEP_AT_LEAST: usize = 4096;

/// Whom a token was issued for and from which login it descends.
#[derive(Clone)]
struct Grant {
    subject: Arc<Subject>,
    family: u64,
}

struct Access {
    expires: Timestamp,
    /// `None` for a key and secret: they have no account and no family.
    grant: Option<Grant>,
    /// Whether it is a JWT, whose signature counts as well.
    signed: bool,
}

struct Refresh {
    expires: Timestamp,
    grant: Grant,
    /// When it was first used, if refresh tokens are good only once.
    spent: Option<Timestamp>,
}

/// What a login or refresh hands out.
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
}

/// Why a refresh token was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Never issued, expired or revoked.
    Unknown,
    /// It was spent before; its family is now revoked.
    Reused,
}

/// An access token of ours, seen from the API.
pub(crate) struct Seen {
    /// Whether it is alive, and signed with the current key.
    pub(crate) is_valid: bool,
    /// `None` if it was issued for a key and secret.
    pub(crate) subject: Option<Arc<Subject>>,
}

pub(crate) struct Issuer {
    settings: Settings,
    signer: Signer,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
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

    /// Starts a family.
    pub(crate) fn login(&mut self, subject: Arc<Subject>, now: Timestamp) -> Issued {
        self.families += 1;
        let grant = Grant { subject, family: self.families };
        self.issue_pair(grant, now)
    }

    /// Whom a refresh token was issued for, dead or alive; it is not spent by asking.
    pub(crate) fn holder(&self, refresh_token: &str) -> Option<Arc<Subject>> {
        self.refresh.get(refresh_token).map(|record| Arc::clone(&record.grant.subject))
    }

    /// Exchanges a refresh token for new tokens, and spends it if refresh tokens rotate.
    pub(crate) fn refresh(&mut self, refresh_token: &str, now: Timestamp) -> Result<Issued, Refusal> {
        let record =
            self.refresh.get_mut(refresh_token).filter(|record| now < record.expires).ok_or(Refusal::Unknown)?;
        let grant = record.grant.clone();

        let Some(grace) = self.settings.rotation.grace() else {
            let same = self.settings.refresh_answer == RefreshAnswer::Same;
            return Ok(Issued {
                access_token: self.issue_access(&grant, now),
                refresh_token: same.then(|| refresh_token.to_owned()),
            });
        };
        match record.spent {
            None => record.spent = Some(now),
            // No grace forgives nothing, even if the machine's clock was set back meanwhile.
            Some(spent) if !grace.is_zero() && now < spent.after(grace) => {}
            Some(_) => {
                self.revoke_family(grant.family);
                return Err(Refusal::Reused);
            }
        }
        Ok(self.issue_pair(grant, now))
    }

    /// An opaque token for a key and secret.
    pub(crate) fn issue_for_client(&mut self, now: Timestamp) -> String {
        let record = Access { expires: now.after(CLIENT_LIFETIME), grant: None, signed: false };
        self.record_access(signer::opaque(), record, now)
    }

    /// What is on record of an access token, if it is one of ours.
    pub(crate) fn look_up(&self, token: &str, now: Timestamp) -> Option<Seen> {
        let record = self.access.get(token)?;
        let is_valid = now < record.expires && (!record.signed || self.signer.verifies(token));
        let subject = record.grant.as_ref().map(|grant| Arc::clone(&grant.subject));
        Some(Seen { is_valid, subject })
    }

    /// Every access token issued so far is dead. Those that are signed no longer verify; the others are forgotten.
    pub(crate) fn rotate_key(&mut self) {
        self.signer.rotate_key();
        self.access.retain(|_, record| record.signed);
    }

    /// Every refresh token issued so far is dead, and unknown: presenting one does not count as reuse.
    pub(crate) fn revoke_refresh_tokens(&mut self) {
        self.refresh.clear();
    }

    /// One account's access tokens are dead. They stay on record: who sends one is known.
    pub(crate) fn revoke_access_of(&mut self, email: &str) {
        let grants = self.access.values_mut().filter_map(|record| Some((record.grant.as_ref()?, &mut record.expires)));
        for (_, expires) in grants.filter(|(grant, _)| grant.subject.email == email) {
            *expires = Timestamp::default();
        }
    }

    /// The same for its refresh tokens.
    pub(crate) fn revoke_refresh_of(&mut self, email: &str) {
        for record in self.refresh.values_mut().filter(|record| record.grant.subject.email == email) {
            record.expires = Timestamp::default();
        }
    }

    fn issue_pair(&mut self, grant: Grant, now: Timestamp) -> Issued {
        Issued { access_token: self.issue_access(&grant, now), refresh_token: Some(self.issue_refresh(grant, now)) }
    }

    fn issue_access(&mut self, grant: &Grant, now: Timestamp) -> String {
        let lifetime = self.settings.access_lifetime;
        let (issued, expires) = if self.settings.whole_seconds {
            (now.floor(), now.after(lifetime).floor())
        } else {
            (now, now.after(lifetime))
        };
        let token = match self.settings.token_format {
            TokenFormat::Jwt => {
                let told = self.settings.hints.exp().then_some(expires);
                self.signer.jwt(&grant.subject, issued, told)
            }
            TokenFormat::Opaque => signer::opaque(),
            TokenFormat::Jwe => signer::jwe(),
        };
        let record =
            Access { expires, grant: Some(grant.clone()), signed: self.settings.token_format == TokenFormat::Jwt };
        self.record_access(token, record, now)
    }

    fn record_access(&mut self, token: String, record: Access, now: Timestamp) -> String {
        self.sweep_if_due(now);
        self.access.insert(token.clone(), record);
        token
    }

    fn issue_refresh(&mut self, grant: Grant, now: Timestamp) -> String {
        let token = signer::opaque();
        let record = Refresh { expires: now.after(self.settings.refresh_lifetime), grant, spent: None };
        self.refresh.insert(token.clone(), record);
        token
    }

    /// RFC 7009 §2.1: with a refresh token goes all that was issued by the same login. Whether there was such a token.
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

    /// Drops expired records each time their number has doubled: memory stays within twice what is alive, and the cost
    /// of a sweep is spread over the tokens that made it necessary.
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
    fn a_long_run_keeps_few_more_records_than_are_alive() {
        let settings = Settings { token_format: TokenFormat::Opaque, ..Settings::default() };
        let mut issuer = Issuer::new(settings, Signer::new(String::new()));
        let subject = Arc::new(Subject { id: String::new(), email: String::new() });
        let mut now = Clock::new(0).now();
        let mut token = issuer.login(subject, now).refresh_token;
        for _ in 0..100_000 {
            now = now.after(Duration::from_secs(1));
            let spent = token.expect("rotation hands out a new one");
            token = issuer.refresh(&spent, now).expect("alive").refresh_token;
            let records = issuer.access.len() + issuer.refresh.len();
            // 60 access tokens and 3600 refresh tokens are alive at any time.
            assert!(records <= 2 * (60 + 3600), "{records} records");
        }
    }
}
