//! A client for a URL.

use redis::{Client, IntoConnectionInfo};

use crate::store::{StoreError, StoreErrorKind};

/// Returns the client for `url`, which has no connection yet.
///
/// Errors of the `redis` crate quote the URL, which holds the password, so they are not passed on.
pub(crate) fn client(url: &str) -> Result<Client, StoreError> {
    let wrong = |what: &str| StoreError::new(StoreErrorKind::Configuration, what);
    let is_tls = url.starts_with("rediss:") || url.starts_with("valkeys:");
    if is_tls && cfg!(not(feature = "redis-tls")) {
        return Err(wrong("the Redis store's URL asks for TLS, which needs the feature `redis-tls`"));
    }
    if url.ends_with("#insecure") {
        return Err(wrong("the Redis store's URL asks for TLS that trusts everybody"));
    }
    let info = url.into_connection_info().map_err(|_| {
        wrong("the Redis store's URL is none of the form `redis://user:password@host:port/database` (TLS: `rediss://`)")
    })?;
    // Without the commands that only tell the server the library's name, the user needs no
    // permission for them.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    #[cfg(feature = "redis-tls")]
    if is_tls {
        install_crypto_provider();
    }
    Client::open(info.set_redis_settings(settings)).map_err(|_| wrong("the Redis store's URL cannot be used"))
}

/// Makes `aws-lc-rs` the provider of rustls, unless the program has chosen one. Without a choice
/// rustls panics in a program that is built with two providers.
#[cfg(feature = "redis-tls")]
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread has installed a provider meanwhile.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
