//! Each thread's own copies of the tokens that it uses. A reference count that two threads update
//! at once costs five times one that a single thread uses, so a token is cloned from the thread's
//! copy and not from the session's.
//!
//! There are few copies. Each is found by session and generation, so an outdated one is never
//! served. The copy of a session that has ended or was logged out stays until its slot is reused or
//! the thread ends; see "How is a fresh token told in a few nanoseconds?" in DESIGN.md.

use std::cell::RefCell;

use crate::token::AccessToken;

const SLOTS: usize = 16;

/// How often other sessions must ask for an occupied slot before they get it. Without this,
/// sessions that share a slot would copy their tokens on every call.
const EVICTION_DELAY: u8 = 16;

thread_local! {
    static CACHE: RefCell<[CachedToken; SLOTS]> = const { RefCell::new([const { CachedToken::EMPTY }; SLOTS]) };
}

struct CachedToken {
    session: u64,
    generation: u64,
    token: Option<AccessToken>,
    /// How often other sessions must still ask for the slot before they get it.
    eviction_delay: u8,
}

impl CachedToken {
    const EMPTY: Self = Self { session: 0, generation: 0, token: None, eviction_delay: 0 };
}

fn slot(session: u64) -> usize {
    usize::try_from(session % SLOTS as u64).unwrap_or(0)
}

/// Returns this thread's copy of the token, if it has one.
#[inline]
pub(in crate::session) fn get(session: u64, generation: u64) -> Option<AccessToken> {
    let find = |slots: &RefCell<[CachedToken; SLOTS]>| {
        let slots = slots.try_borrow().ok()?;
        let slot = &slots[slot(session)];
        if slot.session == session && slot.generation == generation { slot.token.clone() } else { None }
    };
    // A thread that is ending may have dropped its copies already.
    CACHE.try_with(find).ok().flatten()
}

/// Makes a copy of `token` for this thread, if its slot is free, and returns the copy or else
/// `token`.
pub(in crate::session) fn insert(session: u64, token: AccessToken) -> AccessToken {
    let put = |slots: &RefCell<[CachedToken; SLOTS]>| {
        let mut slots = slots.try_borrow_mut().ok()?;
        let slot = &mut slots[slot(session)];
        if slot.session != session && slot.eviction_delay > 0 {
            slot.eviction_delay -= 1;
            return None;
        }
        let copy = token.unshared();
        *slot = CachedToken {
            session,
            generation: token.generation(),
            token: Some(copy.clone()),
            eviction_delay: EVICTION_DELAY,
        };
        Some(copy)
    };
    CACHE.try_with(put).ok().flatten().unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(generation: u64) -> AccessToken {
        AccessToken::new("t").unwrap().of_generation(generation)
    }

    #[test]
    fn a_copy_is_served_only_to_its_session_and_generation() {
        insert(1, token(5));
        assert_eq!(get(1, 5).unwrap().generation(), 5);
        assert!(get(1, 6).is_none());
        assert!(get(1 + SLOTS as u64, 5).is_none());
    }

    #[test]
    fn an_occupied_slot_is_given_up_only_after_repeated_requests() {
        let (old, new) = (2, 2 + SLOTS as u64);
        insert(old, token(1));
        for _ in 0..EVICTION_DELAY {
            insert(new, token(1));
            assert!(get(old, 1).is_some());
        }
        insert(new, token(1));
        assert!(get(new, 1).is_some());
    }
}
