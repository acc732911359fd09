//! Keeps a lease as long as an answer whose body cannot be wrapped.

use std::any::TypeId;
use std::sync::Arc;

use http::Extensions;

use crate::sync::Mutex;
use crate::token::AccessToken;

/// Keeps the token of a request in the extensions of its answer, if it is for this request alone.
pub(super) fn hold<T: Send + 'static>(token: T, extensions: &mut Extensions) {
    if TypeId::of::<T>() != TypeId::of::<AccessToken>() {
        extensions.insert(Arc::new(Mutex::new(token)));
    }
}
