//! The credentials that the server accepts: accounts with an email address and a password, and
//! clients with a key and a secret.

use std::{collections::HashMap, sync::Arc};

use crate::usage::Usage;

/// The account that a token was issued to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The claim `sub`.
    pub(crate) id: String,
    pub(crate) email: String,
}

struct Account {
    subject: Arc<Subject>,
    password: String,
    banned: bool,
    /// The scopes of its tokens, if they are not the default ones.
    scope: Option<Arc<str>>,
    usage: Usage,
}

/// Why a login was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoginRefusal {
    WrongCredentials,
    Banned,
}

pub(crate) struct Accounts {
    by_email: HashMap<String, Account>,
    secrets: HashMap<String, String>,
    default_scope: Arc<str>,
}

impl Accounts {
    /// Returns no accounts yet. Those that are added have tokens with `default_scope`.
    pub(crate) fn new(default_scope: &str) -> Self {
        Self { by_email: HashMap::new(), secrets: HashMap::new(), default_scope: default_scope.into() }
    }

    pub(crate) fn add(&mut self, email: &str, password: &str) {
        if let Some(account) = self.by_email.get_mut(email) {
            password.clone_into(&mut account.password);
            return;
        }
        let subject = Subject { id: format!("account-{}", self.by_email.len() + 1), email: email.to_owned() };
        let account = Account {
            subject: Arc::new(subject),
            password: password.to_owned(),
            banned: false,
            scope: None,
            usage: Usage::default(),
        };
        self.by_email.insert(email.to_owned(), account);
    }

    pub(crate) fn add_client(&mut self, key: &str, secret: &str) {
        self.secrets.insert(key.to_owned(), secret.to_owned());
    }

    pub(crate) fn login(&mut self, email: &str, password: &str) -> Result<Arc<Subject>, LoginRefusal> {
        let account = self.by_email.get_mut(email).ok_or(LoginRefusal::WrongCredentials)?;
        let is_right = account.password == password;
        account.usage.count_login(is_right && !account.banned);
        match (is_right, account.banned) {
            (false, _) => Err(LoginRefusal::WrongCredentials),
            (true, true) => Err(LoginRefusal::Banned),
            (true, false) => Ok(Arc::clone(&account.subject)),
        }
    }

    pub(crate) fn knows_client(&self, key: &str, secret: &str) -> bool {
        self.secrets.get(key).is_some_and(|known| known == secret)
    }

    pub(crate) fn is_banned(&self, subject: &Subject) -> bool {
        self.by_email.get(&subject.email).is_some_and(|account| account.banned)
    }

    /// Returns the scopes that new tokens of an account have, or those of a key and secret.
    pub(crate) fn scope_of(&self, subject: Option<&Subject>) -> Arc<str> {
        let account = subject.and_then(|subject| self.by_email.get(&subject.email));
        Arc::clone(account.and_then(|account| account.scope.as_ref()).unwrap_or(&self.default_scope))
    }

    /// Returns what is kept about the account that a token was issued to.
    pub(crate) fn usage_of(&mut self, subject: &Subject) -> &mut Usage {
        self.usage(&subject.email)
    }

    // The methods below are called for a test. They panic if there is no such account or key, which
    // is then a mistake in the test.

    pub(crate) fn password(&self, email: &str) -> &str {
        match self.by_email.get(email) {
            Some(account) => &account.password,
            None => panic!("the test server has no account {email:?}"),
        }
    }

    pub(crate) fn secret(&self, key: &str) -> &str {
        match self.secrets.get(key) {
            Some(secret) => secret,
            None => panic!("the test server has no client {key:?}"),
        }
    }

    pub(crate) fn set_password(&mut self, email: &str, new: &str) {
        new.clone_into(&mut self.account_mut(email).password);
    }

    pub(crate) fn set_banned(&mut self, email: &str, banned: bool) {
        self.account_mut(email).banned = banned;
    }

    pub(crate) fn set_scope(&mut self, email: &str, scope: &str) {
        self.account_mut(email).scope = Some(scope.into());
    }

    pub(crate) fn usage(&mut self, email: &str) -> &mut Usage {
        &mut self.account_mut(email).usage
    }

    fn account_mut(&mut self, email: &str) -> &mut Account {
        match self.by_email.get_mut(email) {
            Some(account) => account,
            None => panic!("the test server has no account {email:?}"),
        }
    }
}
