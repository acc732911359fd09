//! Where a fleet is: which Redis, under which keys, sealed with which key.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::cipher::TokenCipher;
use crate::error::{Error, ErrorKind};
use crate::redis::{Connection, client, encode, is_prefix};
use crate::secret::Secret;
use crate::store::StoreError;

/// What a user says of where a fleet is.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) url: Secret,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) cipher: TokenCipher,
}

impl Settings {
    pub(super) fn new(url: &str, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: name.into(),
            prefix: "jwt-refresh".to_owned(),
            timeout: Duration::from_secs(2),
            cipher: TokenCipher::default(),
        }
    }

    pub(super) fn place(self) -> Result<FleetPlace, Error> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::Configuration, what));
        if !is_prefix(&self.prefix) {
            return wrong(
                "the pool's prefix is empty or holds more than ASCII letters, digits, `-`, `_`, `.`, `:` and `/`",
            );
        }
        if self.timeout.is_zero() {
            return wrong("the pool's time-out for Redis must not be zero");
        }
        let keys = Arc::new(Keys::new(format!("{}:{{{}}}", self.prefix, encode(&self.name))));
        let place = FleetPlace { settings: self, keys };
        // To see that the URL can be used before anything is begun.
        place.link()?;
        Ok(place)
    }
}

/// A fleet's place.
#[derive(Clone)]
pub(super) struct FleetPlace {
    pub(super) settings: Settings,
    pub(super) keys: Arc<Keys>,
}

impl FleetPlace {
    /// Returns a connection of its own, opened when it is first used.
    pub(super) fn link(&self) -> Result<Arc<Connection>, Error> {
        let Settings { url, timeout, .. } = &self.settings;
        let client = client(url.expose()).map_err(unusable)?;
        Ok(Arc::new(Connection::new(client, *timeout, (*timeout).min(Duration::from_secs(1)))))
    }

    /// Returns the same number for all that have to do with this fleet in this process, so that an
    /// authenticator that asks its own fleet for a token is told so. Those of other pools and
    /// sessions are far below.
    pub(super) fn id(&self, link: &Connection) -> u64 {
        let mut hasher = DefaultHasher::new();
        (link.name(), &self.keys.base).hash(&mut hasher);
        hasher.finish() | 1 << 63
    }
}

impl fmt::Debug for FleetPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys.base)
    }
}

/// The names of a fleet's keys and channels. Who may write which is a table in the documentation of
/// [`RedisPool`](super::RedisPool): `fleet:` is the auth workers', and members only read it;
/// `member:` is written by all; `auth:` is read by auth workers alone.
pub(super) struct Keys {
    pub(super) base: String,
    /// A hash: `epoch`, `run`, `incarnation`, `learnt`, `share_time`, `rev`, `version`, and
    /// the last version of what each member has as `shares:<member>`.
    pub(super) state: String,
    /// A hash of account rows, and the revision of each as a sorted set.
    pub(super) accounts: String,
    pub(super) account_changes: String,
    /// A hash of access tokens: the sequence, a colon, and what is sealed.
    pub(super) tokens: String,
    /// A hash: the figures of each auth worker.
    pub(super) workers: String,
    /// Hashes: until when each member may use its shares, with what it reports; what was released,
    /// and what calls have cost since; which tokens are to be renewed.
    pub(super) demand: String,
    pub(super) released: String,
    pub(super) wants: String,
    /// The coordinator's lease.
    pub(super) coordinator: String,
}

impl Keys {
    fn new(base: String) -> Self {
        let of = |noun: &str| format!("{base}:{noun}");
        Self {
            state: of("fleet:state"),
            accounts: of("fleet:accounts"),
            account_changes: of("fleet:account-changes"),
            tokens: of("fleet:tokens"),
            workers: of("fleet:workers"),
            demand: of("member:demand"),
            released: of("member:released"),
            wants: of("member:wants"),
            coordinator: of("auth:coordinator"),
            base,
        }
    }

    /// Returns the rows of a member's shares, and their versions.
    pub(super) fn shares_of(&self, member: &str) -> (String, String) {
        (format!("{}:fleet:shares:{member}", self.base), format!("{}:fleet:share-changes:{member}", self.base))
    }

    /// Returns the hash of what a member has reserved of quotas, by account.
    pub(super) fn reservations_of(&self, member: &str) -> String {
        format!("{}:member:reservations:{member}", self.base)
    }

    /// Returns the channel of what is for one process, or for all of a kind.
    pub(super) fn channel(&self, noun: &str) -> String {
        format!("{}:{noun}", self.base)
    }

    /// Returns the channel of one member.
    pub(super) fn channel_of(&self, member: &str) -> String {
        format!("{}:to:{member}", self.base)
    }
}

/// Returns the error of a Redis that cannot be used as it is set up.
pub(super) fn unusable(error: StoreError) -> Error {
    Error::new(ErrorKind::Configuration, "the pool's Redis cannot be used").caused_by(error)
}

/// Returns the error of a request to Redis that failed.
pub(super) fn failed(error: StoreError) -> Error {
    Error::new(ErrorKind::Store, "the pool's Redis failed")
        .caused_by(error)
        .advising("see the cause; the pool goes on by itself when Redis is back")
}

#[cfg(all(test, feature = "redis-cluster"))]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_nodes_in_a_url_makes_no_other_fleet() {
        let id = |url: &str| {
            let place = Settings::new(url, "catalog").place().unwrap();
            place.id(&place.link().unwrap())
        };
        let [one, same, other] = ["one?node=two:6379", "two?node=one:6379", "one?node=three:6379"]
            .map(|nodes| id(&format!("redis-cluster://{nodes}")));
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
