//! Who an account is: its name, and how it logs in.

use crate::authenticator::AnyAuthenticator;
use crate::{Authenticator, Error, RefreshToken, Tokens};

/// A name and an authenticator of whatever type, behind one pointer: there may be a million.
pub(super) trait Identity: AnyAuthenticator {
    fn name(&self) -> &str;
}

pub(super) struct Named<A> {
    pub(super) name: Box<str>,
    pub(super) authenticator: A,
}

impl<A: Authenticator> Identity for Named<A> {
    fn name(&self) -> &str {
        &self.name
    }
}

impl<A: Authenticator> Authenticator for Named<A> {
    fn login(&self) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.authenticator.login()
    }

    fn refresh(&self, token: &RefreshToken) -> impl Future<Output = Result<Tokens, Error>> + Send {
        self.authenticator.refresh(token)
    }

    fn revoke(&self, token: &RefreshToken) -> impl Future<Output = Result<(), Error>> + Send {
        self.authenticator.revoke(token)
    }
}
