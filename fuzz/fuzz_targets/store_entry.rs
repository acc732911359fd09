//! Starts sessions with what a store holds.
//!
//! The input has a line `revision: 7`, and the bytes of the entry.
//!
//! Whatever is there, the session has a token or an error that hides the secret. What it wrote
//! itself, another session starts with, and without a request.
#![no_main]

use std::cell::OnceCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh_core::store::{StoreEntry, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh_core::{Authenticator, Error, RefreshToken, Session, Tokens};
use jwt_refresh_fuzz::{Input, assert_debug_hides, assert_error_hides};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// Has one entry, which is what it is told, and wakes nobody.
#[derive(Clone)]
struct OneEntry(Arc<Mutex<StoreEntry>>);

impl TokenStore for OneEntry {
    type Lease = ();

    async fn load(&self, _: &str) -> Result<Option<StoreEntry>, StoreError> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }

    async fn save(&self, _: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        let mut held = self.0.lock().unwrap();
        if entry.revision.checked_sub(1) != Some(held.revision) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "it does not follow"));
        }
        *held = entry.clone();
        Ok(())
    }

    async fn lease(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn changed(&self, _: &str, _: u64) {
        std::future::pending().await
    }
}

/// Answers at once, and counts how often it was asked.
#[derive(Clone, Default)]
struct Server(Arc<AtomicUsize>);

impl Server {
    fn tokens(&self, access: &str) -> Result<Tokens, Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Tokens::new(access)?.refresh_token("refresh").expires_in(Duration::from_secs(3600)))
    }
}

impl Authenticator for Server {
    fn server_id(&self) -> Option<String> {
        Some("https://api.example".to_owned())
    }

    async fn login(&self) -> Result<Tokens, Error> {
        self.tokens("from-login")
    }

    async fn refresh(&self, _: &RefreshToken) -> Result<Tokens, Error> {
        self.tokens("from-refresh")
    }
}

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().enable_time().build().unwrap());
        runtime.block_on(start(data));
    });
});

async fn start(data: &[u8]) {
    let input = Input::split(data);
    let entry = StoreEntry { revision: input.parsed("revision").unwrap_or(7), data: input.body.to_vec().into() };
    let store = OneEntry(Arc::new(Mutex::new(entry.clone())));
    let server = Server::default();
    let builder = Session::builder(server.clone()).store(store.clone(), "ada");
    let session = match builder.connect().await {
        Ok(session) => session,
        Err(error) => return assert_error_hides(&error),
    };
    let token = session.token().await.expect("it is connected");
    let is_own = ["from-login", "from-refresh"].contains(&token.expose());
    let is_stored = entry.data.contains(&b'\\')
        || entry.data.windows(token.expose().len()).any(|part| part == token.expose().as_bytes());
    assert!(is_own || is_stored, "the token came from nowhere");
    assert_debug_hides(&session);
    session.flush().await;
    if store.0.lock().unwrap().revision > entry.revision {
        let asked = server.0.load(Ordering::SeqCst);
        let other = Session::builder(server.clone()).store(store.clone(), "ada").connect().await;
        let other = other.expect("the entry is what a session wrote");
        assert!(other.token().await.is_ok());
        assert_eq!(server.0.load(Ordering::SeqCst), asked, "what a session wrote was not enough for another");
    }
}
