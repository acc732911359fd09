//! Tells, once for each method with `#[refresh_token(retry)]`, that it returned an error in which
//! there is nothing that can show a 401.

use std::any::type_name;
use std::collections::BTreeSet;
use std::panic::Location;

use tracing::Level;

use crate::sync::Mutex;

/// The methods that have been told of, by the place of their attribute and their name.
static TOLD: Mutex<BTreeSet<(&Location<'static>, &'static str)>> = Mutex::new(BTreeSet::new());

/// Reports that an `E` that `method` returned held no type that is known to show a 401.
#[cold]
pub(super) fn report<E>(method: &'static str, attribute: &'static Location<'static>) {
    if !tracing::enabled!(target: "jwt_refresh", Level::DEBUG) || !TOLD.lock().insert((attribute, method)) {
        return;
    }
    tracing::debug!(
        target: "jwt_refresh",
        method,
        attribute = %attribute,
        error = type_name::<E>(),
        "`retry` found nothing in an error that can show a 401: implement `Unauthorized` for its type, or use `retry_if`",
    );
}
