//! Short programs on a store.

use jwt_refresh::store::MemoryStore;

use crate::{SECOND, World, current_thread};

#[test]
fn a_script_that_ends_in_the_refresh_ahead_window_costs_no_login_at_each_run() {
    let world = World::new();
    let store = MemoryStore::new();
    for _ in 0..5 {
        // One run: a session, two calls, and the end of the program.
        let session = world.builder().store(store.clone(), "ada").build();
        current_thread().block_on(session.token()).unwrap();
        let token = current_thread().block_on(session.token()).unwrap();
        let refreshes = world.server.stats().refreshes;
        drop((session, token));
        // Nothing goes on in the background that the end of the program would cut off.
        assert_eq!(world.server.stats().refreshes, refreshes);
        world.pass(56 * SECOND);
    }
    let stats = world.server.stats();
    assert_eq!((stats.logins, stats.refreshes, stats.reuses), (1, 4, 0));
}
