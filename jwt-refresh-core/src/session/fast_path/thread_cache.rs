//! Each thread's own copies of the tokens it uses. A reference count that two threads touch at once costs five times one
//! that a single thread keeps to itself, so a token is cloned from the thread's copy and not from the session's.
//!
//! The copies are few and are told by session and generation, so a copy that is out of date is never served. One that is
//! left over from a session that ended stays until its place is taken or the thread ends.

use std::cell::RefCell;

use crate::token::AccessToken;

const SLOTS: usize = 16;

/// How often in a row other sessions must ask for an occupied place before it is given up: sessions that share a place
/// would otherwise copy their tokens on every call.
const STAY: u8 = 16;

thread_local! {
    static CACHE: RefCell<[CachedToken; SLOTS]> = const { RefCell::new([const { CachedToken::EMPTY }; SLOTS]) };
}

struct CachedToken {
    session: u64,
    generation: u64,
    token: Option<AccessToken>,
    stay: u8,
}

impl CachedToken {
    const EMPTY: Self = Self { session: 0, generation: 0, token: None, stay: 0 };
}

fn slot(session: u64) -> usize {
    usize::try_from(session % SLOTS as u64).unwrap_or(0)
}

/// This thread's copy of the token, if it has one.
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

/// Makes a copy of `token` this thread's own, if there is place for it.
pub(in crate::session) fn insert(session: u64, token: AccessToken) -> AccessToken {
    let put = |slots: &RefCell<[CachedToken; SLOTS]>| {
        let mut slots = slots.try_borrow_mut().ok()?;
        let slot = &mut slots[slot(session)];
        if slot.session != session && slot.stay > 0 {
            slot.stay -= 1;
            return None;
        }
        let copy = token.unshared();
        *slot = CachedToken { session, generation: token.generation(), token: Some(copy.clone()), stay: STAY };
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
    fn a_copy_is_served_to_its_session_and_generation_alone() {
        insert(1, token(5));
        assert_eq!(get(1, 5).unwrap().generation(), 5);
        assert!(get(1, 6).is_none());
        assert!(get(1 + SLOTS as u64, 5).is_none());
    }

    #[test]
    fn a_place_in_use_is_given_up_only_to_a_session_that_insists() {
        let (old, new) = (2, 2 + SLOTS as u64);
        insert(old, token(1));
        for _ in 0..STAY {
            insert(new, token(1));
            assert!(get(old, 1).is_some());
        }
        insert(new, token(1));
        assert!(get(new, 1).is_some());
    }
}
