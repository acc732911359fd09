//! The content of a session's entry in its store: one JSON object, which every version of this
//! library that knows its format can read.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::clock::{Moment, Timestamp};
use crate::json::Object;
use crate::policy::Policy;
use crate::renewal::{IssuedTokens, Lifetime, RefreshCredential};
use crate::store::{StoreError, StoreErrorKind};
use crate::token::{AccessToken, RefreshToken};

const FORMAT: u64 = 1;
/// The longest entry that is read, in bytes. No account's tokens are longer.
const MAX_LEN: usize = 1024 * 1024;

/// The content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The sequence of the account's newest access token.
    pub(super) sequence: u64,
    pub(super) status: LoginStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoginStatus {
    Active(Active),
    LoggedOut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    access: Option<Access>,
    pub(super) credential: RefreshCredential,
    /// Set just before the refresh token is spent, and cleared when the outcome is written. If a
    /// process that has the lease finds it set, the process that set it has died in between.
    pub(super) spending: bool,
    /// When the refresh token expires, in nanoseconds since the epoch, if that is known.
    refresh_expires: Option<i64>,
}

#[derive(Clone, PartialEq, Eq)]
struct Access {
    token: String,
    /// In nanoseconds since the epoch.
    issued: i64,
    /// In nanoseconds since the epoch. `None` if the token lives until it is rejected.
    expires: Option<i64>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Record {
    pub(super) fn logged_out(sequence: u64) -> Self {
        Self { sequence, status: LoginStatus::LoggedOut }
    }

    /// Returns a record without tokens, to note a credential in.
    pub(super) fn empty(sequence: u64) -> Self {
        Self {
            sequence,
            status: LoginStatus::Active(Active {
                access: None,
                credential: RefreshCredential::None,
                spending: false,
                refresh_expires: None,
            }),
        }
    }

    /// Returns the record of tokens that a session got at `now`.
    pub(super) fn of(issued: &IssuedTokens, now: Moment) -> Self {
        let expires = issued.life.expires.wall;
        let access = Access {
            token: issued.token.expose().to_owned(),
            issued: now.wall.as_nanos(),
            expires: (expires != Timestamp::NEVER).then_some(expires.as_nanos()),
        };
        let refresh_expires = issued.login_ends.map(|ends| ends.wall.as_nanos());
        let active =
            Active { access: Some(access), credential: issued.credential.clone(), spending: false, refresh_expires };
        Self { sequence: issued.sequence, status: LoginStatus::Active(active) }
    }

    pub(super) fn is_logged_out(&self) -> bool {
        self.status == LoginStatus::LoggedOut
    }

    /// Returns whether a refresh token was about to be spent.
    pub(super) fn is_spending(&self) -> bool {
        matches!(&self.status, LoginStatus::Active(active) if active.spending)
    }

    /// Returns what the account can be refreshed with, unless it is logged out.
    pub(super) fn credential(&self) -> Option<&RefreshCredential> {
        match &self.status {
            LoginStatus::Active(active) => Some(&active.credential),
            LoginStatus::LoggedOut => None,
        }
    }

    /// Returns the record with another credential.
    pub(super) fn with_credential(&self, credential: RefreshCredential, spending: bool) -> Self {
        let LoginStatus::Active(active) = &self.status else { return self.clone() };
        Self { sequence: self.sequence, status: LoginStatus::Active(Active { credential, spending, ..active.clone() }) }
    }

    /// Returns the tokens for a session that reads the record.
    pub(super) fn issued_tokens(&self, policy: &Policy, now: Moment) -> Option<IssuedTokens> {
        let LoginStatus::Active(Active { access: Some(access), credential, refresh_expires, .. }) = &self.status else {
            return None;
        };
        let token = AccessToken::new(&access.token).ok()?;
        let start = now.at_wall(Timestamp::from_nanos(access.issued));
        let expires = access.expires.map(Timestamp::from_nanos);
        let life = Lifetime::new(policy, start, expires, fastrand::f64());
        let (credential, sequence) = (credential.clone(), self.sequence);
        let login_ends = refresh_expires.map(|time| now.at_wall(Timestamp::from_nanos(time)));
        Some(IssuedTokens { token, begins: start, life, credential, login_ends, sequence })
    }

    /// Returns the bytes of the entry of `revision`.
    pub(super) fn write(&self, account: &str, revision: u64) -> Zeroizing<Vec<u8>> {
        let mut json = serde_json::json!({
            "format": FORMAT,
            "account": account,
            "revision": revision,
            // The name of the sequence in format 1.
            "issue": self.sequence,
        });
        match &self.status {
            LoginStatus::LoggedOut => json["status"] = "logged out".into(),
            LoginStatus::Active(active) => {
                json["status"] = "active".into();
                if let Some(access) = &active.access {
                    json["access_token"] = access.token.as_str().into();
                    json["issued_ns"] = access.issued.into();
                    json["expires_ns"] = access.expires.into();
                }
                json["refresh_token"] = active.credential.token().map(RefreshToken::expose).into();
                json["doubtful"] = matches!(active.credential, RefreshCredential::InDoubt(_)).into();
                json["reusable"] = active.credential.is_reusable().into();
                json["spending"] = active.spending.into();
                if let Some(time) = active.refresh_expires {
                    json["refresh_expires_ns"] = time.into();
                }
            }
        }
        Zeroizing::new(json.to_string().into_bytes())
    }

    /// Reads an entry. Checks that it is this account's and that it has the revision that the store
    /// says.
    pub(super) fn read(data: &[u8], account: &str, revision: u64) -> Result<Self, StoreError> {
        if data.len() > MAX_LEN {
            return Err(corrupt("is longer than 1 MiB"));
        }
        let object = Object::parse(data).map_err(|_| corrupt("is not what a session writes"))?;
        let field = |name: &str| object.at(name).map_err(|what| corrupt(&what));
        let number = |name: &str| {
            let value = field(name)?.as_ref().and_then(Value::as_u64);
            value.ok_or_else(|| corrupt(&format!("has no number in `{name}`")))
        };
        let text = |name: &str| {
            Ok(match field(name)? {
                Some(Value::String(text)) => Some(text),
                Some(_) => return Err(corrupt(&format!("has no text in `{name}`"))),
                None => None,
            })
        };
        if number("format")? != FORMAT {
            return Err(corrupt("is of a format that this version does not know"));
        }
        if text("account")?.as_deref() != Some(account) {
            return Err(corrupt("is another account's"));
        }
        if number("revision")? != revision {
            return Err(corrupt("is of another revision than the store says"));
        }
        let sequence = number("issue")?;
        match text("status")?.as_deref() {
            Some("logged out") => return Ok(Self::logged_out(sequence)),
            Some("active") => {}
            _ => return Err(corrupt("has no status that this version knows")),
        }
        let flag = |name: &str| Ok(field(name)?.as_ref().and_then(Value::as_bool).unwrap_or(false));
        let time = |name: &str| Ok(field(name)?.as_ref().and_then(Value::as_i64));
        let access = match text("access_token")? {
            None => None,
            Some(token) => {
                AccessToken::new(&token).map_err(|_| corrupt("has no access token in `access_token`"))?;
                let issued = time("issued_ns")?.ok_or_else(|| corrupt("has no time in `issued_ns`"))?;
                Some(Access { token, issued, expires: time("expires_ns")? })
            }
        };
        let credential = match (text("refresh_token")?, flag("doubtful")?, flag("reusable")?) {
            (None, ..) => RefreshCredential::None,
            (Some(token), true, _) => RefreshCredential::InDoubt(token.into()),
            (Some(token), false, true) => RefreshCredential::Reusable(token.into()),
            (Some(token), false, false) => RefreshCredential::Valid(token.into()),
        };
        let refresh_expires = time("refresh_expires_ns")?;
        let active = Active { access, credential, spending: flag("spending")?, refresh_expires };
        Ok(Self { sequence, status: LoginStatus::Active(active) })
    }
}

fn corrupt(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("the entry in the store {what}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> Moment {
        let wall = Timestamp::from_nanos(1_800_000_000_000_000_000);
        Moment { wall, boot: Timestamp::from_nanos(5) }
    }

    fn issued(seconds: u64) -> IssuedTokens {
        let tokens = crate::token::Tokens::new("AccessS3cret").unwrap().refresh_token("RefreshS3cret");
        let tokens = tokens.refresh_expires_in(Duration::from_secs(600));
        IssuedTokens::captured(&Policy::default(), tokens.expires_in(Duration::from_secs(seconds)), now(), 3)
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::of(&issued(60), now());
        let with = |credential| record.with_credential(credential, true);
        for record in [
            with(RefreshCredential::InDoubt("r".into())),
            with(RefreshCredential::Reusable("r".into())),
            record.clone(),
            Record::logged_out(9),
        ] {
            assert_eq!(Record::read(&record.write("ada", 7), "ada", 7).unwrap(), record);
        }
    }

    #[test]
    fn another_process_sees_the_same_expiry() {
        let record = Record::of(&issued(60), now());
        let read = record.issued_tokens(&Policy::default(), now() + Duration::from_secs(10)).unwrap();
        assert_eq!(read.life.expires, now() + Duration::from_secs(60));
        assert_eq!(read.login_ends, Some(now() + Duration::from_secs(600)));
        assert_eq!(read.sequence, 3);
    }

    #[test]
    fn a_corrupt_entry_is_reported_with_what_is_wrong_with_it() {
        let good = String::from_utf8(Record::of(&issued(60), now()).write("ada", 7).to_vec()).unwrap();
        for (data, part) in [
            (good.replace("ada", "eve"), "another account"),
            (good.replace("\"revision\":7", "\"revision\":6"), "another revision"),
            (good.replace("\"format\":1", "\"format\":2"), "format"),
            (good.replace("active", "asleep"), "status"),
            (good.replace("\"AccessS3cret\"", "\"Access\\nS3cret\""), "access_token"),
            (good.replace("\"issue\":3", "\"issue\":-3"), "issue"),
            (good[..good.len() / 2].to_owned(), "not what a session writes"),
            ("x".repeat(MAX_LEN + 1), "1 MiB"),
            (String::new(), "not what a session writes"),
        ] {
            let error = Record::read(data.as_bytes(), "ada", 7).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            assert!(error.to_string().contains(part) && !error.to_string().contains("S3cret"), "{error}");
        }
    }

    #[test]
    fn a_record_shows_no_secret_in_debug() {
        let shown = format!("{:?}", Record::of(&issued(60), now()));
        assert!(!shown.contains("S3cret"), "{shown}");
    }
}
