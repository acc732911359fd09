//! Opens entries that are sealed.
//!
//! The first byte of the input says what is done with the rest: it is loaded as it is; it is sealed
//! and loaded; or it is sealed, and one byte of that is changed.
//!
//! What was sealed is opened again, for its account and its revision only. Nothing else is opened,
//! and what cannot be opened is reported with its revision.
#![no_main]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};

use jwt_refresh_core::store::{SealKey, Sealed, StoreEntry, StoreError, StoreErrorKind, TokenStore};
use jwt_refresh_fuzz::assert_error_hides;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SealKey> = LazyLock::new(|| SealKey::generate().unwrap());

/// Has one entry, for every account.
struct OneEntry(Mutex<Option<StoreEntry>>);

impl TokenStore for OneEntry {
    type Lease = ();

    async fn load(&self, _: &str) -> Result<Option<StoreEntry>, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn save(&self, _: &str, entry: &StoreEntry) -> Result<(), StoreError> {
        *self.0.lock().unwrap() = Some(entry.clone());
        Ok(())
    }

    async fn lease(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((todo, data)) = data.split_first() else { return };
    match todo % 4 {
        0 => match load(data.to_vec(), 7, "ada") {
            // It is whole and in the clear, or names another key.
            Err(error) if error.kind() == StoreErrorKind::KeyMismatch => assert_error_hides(&error),
            loaded => assert_unopened(&loaded, 7),
        },
        1 => {
            let sealed = sealed(data);
            let opened = load(sealed.clone(), 7, "ada").expect("it was sealed").expect("it is there");
            assert_eq!((opened.revision, &opened.data[..]), (7, data));
            // `v4.local.…`, and behind the next dot the name of the key.
            let encrypted = sealed.split(|byte| *byte == b'.').nth(2).expect("it has four parts");
            assert!(data.len() < 8 || !encrypted.windows(data.len()).any(|part| part == data));
            assert_unopened(&load(sealed.clone(), 8, "ada"), 8);
            assert_unopened(&load(sealed, 7, "eve"), 7);
        }
        _ => {
            let [at @ .., change] = data else { return };
            let mut changed = sealed(data);
            let at = at.iter().fold(0, |at, byte| (at << 8 | usize::from(*byte)) % changed.len());
            changed[at] ^= change;
            if *change != 0 {
                let is_of_footer = !changed[at..].contains(&b'.');
                let loaded = load(changed, 7, "ada");
                match &loaded {
                    // It may be the id of another key now.
                    Err(error) if is_of_footer && error.kind() == StoreErrorKind::KeyMismatch => {
                        assert_error_hides(error);
                    }
                    _ => assert_unopened(&loaded, 7),
                }
            }
        }
    }
});

fn sealed(data: &[u8]) -> Vec<u8> {
    let held = Arc::new(OneEntry(Mutex::new(None)));
    let entry = StoreEntry { revision: 7, data: data.to_vec().into() };
    now(Sealed::new(Arc::clone(&held), KEY.clone()).save("ada", &entry)).expect("it can be sealed");
    let raw = held.0.lock().unwrap().take().expect("it was saved");
    raw.data.to_vec()
}

fn load(data: Vec<u8>, revision: u64, account: &str) -> Result<Option<StoreEntry>, StoreError> {
    let held = OneEntry(Mutex::new(Some(StoreEntry { revision, data: data.into() })));
    now(Sealed::new(held, KEY.clone()).load(account))
}

fn assert_unopened(loaded: &Result<Option<StoreEntry>, StoreError>, revision: u64) {
    let error = loaded.as_ref().expect_err("what was not sealed for it is opened");
    assert_eq!((error.kind(), error.revision()), (StoreErrorKind::Corrupt, Some(revision)));
    assert_error_hides(error);
}

/// Returns what a future returns that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
