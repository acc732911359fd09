//! `renew_on`: a runtime of the user's choice.

use std::sync::{Arc, Mutex};

use jwt_refresh::{Authenticator, Error, Session, Tokens};
use tokio::runtime::Builder;

use crate::{SECOND, World, block_on, current_thread};

/// Notes the name of the thread that a login runs on.
#[derive(Clone, Default)]
struct NotesThread(Arc<Mutex<Vec<String>>>);

impl Authenticator for NotesThread {
    async fn login(&self) -> Result<Tokens, Error> {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.0.lock().unwrap().push(name);
        Tokens::new("access")
    }
}

#[test]
fn renewals_run_on_the_librarys_threads_or_on_the_runtime_that_the_user_has_chosen() {
    let chosen = Builder::new_multi_thread().worker_threads(1).thread_name("chosen").enable_all().build().unwrap();
    let notes = NotesThread::default();
    block_on(Session::new(notes.clone()).token()).unwrap();
    block_on(Session::builder(notes.clone()).renew_on(chosen.handle().clone()).build().token()).unwrap();
    assert_eq!(*notes.0.lock().unwrap(), ["jwt-refresh", "chosen"]);
}

#[test]
fn a_chosen_runtime_that_is_parked_is_left_and_never_sends_what_it_had_begun() {
    let world = World::new();
    let parked = current_thread();
    let session = world.builder().renew_on(parked.handle().clone()).build();
    block_on(session.token()).unwrap();
    assert_eq!(world.server.stats().logins, 1);
    // The renewal that it was given first runs now, and finds that it was overtaken.
    parked.block_on(async { tokio::time::sleep(SECOND / 5).await });
    assert_eq!(world.server.stats().auth_requests, 1);
}

#[test]
fn a_chosen_runtime_that_has_ended_is_left() {
    let world = World::new();
    let ended = current_thread();
    let session = world.builder().renew_on(ended.handle().clone()).keep_fresh().build();
    drop(ended);
    block_on(session.token()).unwrap();
    world.pass(61 * SECOND);
    block_on(session.token()).unwrap();
    assert_eq!(world.server.stats().logins, 1);
}
