//! What a process reads in Redis: the accounts of the fleet, its shares, and their tokens.

use super::MemberTask;
use super::held_shares::share;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::pool::definition::Definition;
use crate::pool::fleet::tokens;
use crate::pool::quarantine::QuarantineCause;
use crate::pool::share::KnownState;
use crate::pool::start::NoLogin;
use crate::store::StoreError;

impl MemberTask {
    /// Reads what has changed in Redis.
    pub(super) async fn sync(&mut self) -> Result<(), StoreError> {
        // If Redis fails on the way, what was read is still to be taken.
        if self.news.accounts {
            self.sync_accounts().await?;
            self.news.accounts = false;
        }
        if self.news.shares {
            self.sync_shares().await?;
            self.news.shares = false;
        }
        self.sync_tokens().await
    }

    async fn sync_tokens(&mut self) -> Result<(), StoreError> {
        self.without_token.retain(|account| self.held.contains_key(account));
        let Some(time) = self.time.filter(|_| !self.without_token.is_empty()) else { return Ok(()) };
        let accounts: Vec<String> = self.without_token.iter().cloned().collect();
        for (account, token) in tokens::read(&self.place, &self.link, &accounts, time, self.clock.moment()).await? {
            match token {
                Ok(token) => {
                    if self.wants.get(&account).is_some_and(|(sequence, _)| token.sequence > *sequence) {
                        self.wants.remove(&account);
                    }
                    self.pool.supply(&account, token);
                }
                Err(error) => {
                    tracing::error!(target: "jwt_refresh", account, %error, "an account cannot be used here");
                    let never = Timestamp::NEVER.as_nanos();
                    self.pool.set_unavailable(&account, QuarantineCause::NoLogin, Some(never), Some(error));
                }
            }
        }
        self.without_token.clear();
        Ok(())
    }

    async fn sync_accounts(&mut self) -> Result<(), StoreError> {
        self.accounts.sync(&self.link).await?;
        for name in self.accounts.take_changed() {
            self.take_account(&name);
        }
        Ok(())
    }

    async fn sync_shares(&mut self) -> Result<(), StoreError> {
        self.shares.sync(&self.link).await?;
        if let Some(asks) = self.standing.asks {
            // Until the coordinator has answered, what Redis has may be old.
            let answer = format!("\n{asks}");
            if !self.shares.has_changed(&answer) {
                return Ok(());
            }
            self.shares.reset();
            self.shares.rows.clear();
            self.shares.sync(&self.link).await?;
            self.standing.asks = None;
            self.shares.set_changed(self.held.keys());
        }
        let is_new = |name: &String| !self.definitions.contains_key(name);
        if self.shares.rows.keys().any(is_new) {
            self.sync_accounts().await?;
        }
        for name in self.shares.take_changed() {
            self.take_share(&name);
        }
        Ok(())
    }

    /// Takes what the auth workers say of an account.
    pub(super) fn take_account(&mut self, name: &str) {
        let Some(row) = self.accounts.rows.get(name).cloned() else {
            self.give_up(name);
            self.pool.remove(name);
            self.definitions.remove(name);
            return;
        };
        if self.definitions.get(name) != Some(&row.definition) {
            self.definitions.insert(name.to_owned(), row.definition.clone());
            self.add(name, &row.definition);
        }
        match &row.unavailable {
            None => self.pool.set_available(name),
            Some(unavailable) => {
                let until = match unavailable.until {
                    Some(0) => Some(Timestamp::NEVER.as_nanos()),
                    until => until.zip(self.time).map(|(until, time)| time.boot_late(until)),
                };
                let error = unavailable.error.clone().map(|what| Error::new(ErrorKind::NoAccount, what));
                self.pool.set_unavailable(name, unavailable.cause(), until, error);
            }
        }
        self.without_token.insert(name.to_owned());
    }

    /// Adds an account to the local pool, or gives it other limits and tags.
    fn add(&mut self, name: &str, definition: &Definition) {
        let account = definition.account(name, NoLogin);
        let added = match self.pool.redefine(&account) {
            Ok(false) => {
                let pin = self.pins.as_ref().and_then(|pins| pins(name));
                self.pool.add_elsewhere(account.pinned(pin))
            }
            redefined => redefined.map(drop),
        };
        if let Err(error) = added {
            self.pool.remove(name);
            tracing::error!(target: "jwt_refresh", account = name, %error, "an account of the fleet cannot be used");
        }
        if let Some(row) = self.held.get(name) {
            let (_, into) = self.offsets();
            // Of an account that was not here nothing is known; one that was has its share.
            self.pool.grant_share(name, share(row), &KnownState::AtLeast(None), into);
            self.rest(name, row);
            self.reservations.short.insert(name.to_owned());
        } else if self.shares.rows.contains_key(name) {
            // It was removed and has come back, and the share of it is this member's still.
            self.shares.set_changed([&name.to_owned()]);
            self.news.shares = true;
        }
    }
}
