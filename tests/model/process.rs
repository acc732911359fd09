//! A process: a session, what is asked of it, and a life that can be cut short.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use jwt_refresh::store::MemoryStore;
use jwt_refresh::{AccessToken, Error, ErrorKind, Session, TokenProvider, Tokens};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::authenticator::Watched;
use crate::history::Promise;
use crate::life::Life;
use crate::state::{State, Wish};
use crate::store::Faulty;
use crate::world::World;

/// The account's name in the store.
pub(crate) const ACCOUNT: &str = "ada";

/// After so long, in real time, a call is taken to hang.
pub(crate) const LONGEST: Duration = Duration::from_secs(100);

/// How long what is held up is waited for.
const HELD_UP: Duration = Duration::from_millis(60);

/// Tokens that a person got, and the refresh token among them.
#[derive(Clone)]
pub(crate) struct Captured {
    pub(crate) tokens: Tokens,
    pub(crate) refresh: Option<String>,
}

pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) session: Session,
    pub(crate) store: Option<Faulty>,
    world: World,
    life: Life,
    calls: Vec<JoinHandle<()>>,
    operations: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(world: &World, shared: Option<&MemoryStore>, captured: Option<Captured>) -> Self {
        let refresh = captured.as_ref().and_then(|captured| captured.refresh.clone());
        let (number, setup) = world.with(|state| (state.build_session(refresh), state.setup.clone()));
        let life = Life::new();
        let store = shared.map(|shared| Faulty::new(shared.clone(), world.clone(), life.clone(), number));
        let authenticator = Watched { world: world.clone(), session: number, life: life.clone() };
        let mut session = Session::builder(authenticator).clock(world.clock()).policy(setup.policy());
        if let Some(store) = &store {
            session = session.store(store.clone(), ACCOUNT);
        }
        if let Some(Captured { tokens, .. }) = captured {
            session = session.tokens(tokens);
        }
        if setup.keep_fresh {
            session = session.keep_fresh();
        }
        let session = session.build();
        let (calls, operations) = (Vec::new(), Vec::new());
        let process = Self { number, session, store, world: world.clone(), life, calls, operations };
        process.watch();
        process
    }

    /// Notes what events tell.
    fn watch(&self) {
        let (mut events, world, number, life) =
            (self.session.events(), self.world.clone(), self.number, self.life.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if life.is_over() {
                    return;
                }
                world.with(|state| state.event(number, &event));
            }
        });
    }

    /// Asks for a token. The result comes when the call ends, unless it is given up.
    pub(crate) fn call(&mut self) -> Answered {
        self.ask(None, |session| async move { session.token().await })
    }

    /// Asks for another token than one that was answered 401.
    pub(crate) fn reject(&mut self, token: AccessToken, number: u64) -> Answered {
        self.ask(Some(number), |session| async move { session.rejected(&token).await })
    }

    fn ask<F>(&mut self, rejected: Option<u64>, ask: impl FnOnce(Session) -> F + Send + 'static) -> Answered
    where
        F: Future<Output = Result<AccessToken, Error>> + Send + 'static,
    {
        let (world, session, number) = (self.world.clone(), self.session.clone(), self.number);
        let call = world.with(|state| state.begin_call(number, rejected));
        let open = OpenCall { world: world.clone(), session: number };
        let (sender, answered) = oneshot::channel();
        self.calls.push(tokio::spawn(async move {
            let _open = open;
            let result = bounded(&world, number, "a call", ask(session)).await;
            world.with(|state| state.end_call(&call, result.as_ref()));
            // The walk may not want to know.
            let _ = sender.send(result);
        }));
        answered
    }

    pub(crate) fn log_in(&mut self) {
        let session = self.session.clone();
        self.operate(Wish::Login, None, async move { session.login().await.map(drop) });
    }

    /// Logs out: here as soon as the future was polled, elsewhere when it has ended.
    pub(crate) fn log_out(&mut self) {
        let (world, session, number) = (self.world.clone(), self.session.clone(), self.number);
        self.operate(Wish::Logout, None, async move {
            let mut logout = pin!(session.logout());
            let ended = logout.as_mut().now_or_never();
            world.with(|state| state.is_logged_out(number));
            match ended {
                Some(result) => result,
                None => logout.await,
            }
        });
    }

    /// Hands over tokens that a person got.
    pub(crate) fn adopt(&mut self, Captured { tokens, refresh }: Captured) {
        let session = self.session.clone();
        self.operate(Wish::Adopt, refresh, async move { session.adopt(tokens).await });
    }

    fn operate(
        &mut self,
        wish: Wish,
        adopted: Option<String>,
        operation: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) {
        let (world, number) = (self.world.clone(), self.number);
        let id = world.with(|state| state.begin_operation(wish, number));
        self.operations.push(tokio::spawn(async move {
            let result = bounded(&world, number, "an operation", operation).await;
            world.with(|state| state.end_operation(id, result.as_ref().copied(), adopted));
        }));
    }

    /// Waits until all that was asked of the session has ended.
    pub(crate) async fn settle(&mut self) {
        for work in self.calls.drain(..).chain(self.operations.drain(..)) {
            // It may have been given up.
            let _ = unstuck(&self.world, work).await;
        }
    }

    /// Gives up all calls that wait for a token.
    pub(crate) fn abandon(&mut self) {
        self.calls.drain(..).for_each(|call| call.abort());
    }

    /// Waits until no renewal is under way and all is saved.
    pub(crate) async fn flush(&self) {
        let flush = self.session.flush().map(Ok);
        // There is no other error than that it hangs, which is noted.
        let _ = unstuck(&self.world, bounded(&self.world, self.number, "a flush", flush)).await;
    }

    /// Dies: what it was at goes no further, and its leases are free.
    pub(crate) async fn kill(mut self) {
        self.world.with(|state| {
            self.life.end();
            state.kill(self.number);
        });
        if let Some(store) = &self.store {
            store.free();
        }
        self.calls.iter().chain(&self.operations).for_each(JoinHandle::abort);
        self.settle().await;
    }
}

/// What comes of a call.
pub(crate) type Answered = oneshot::Receiver<Result<AccessToken, Error>>;

/// A call that goes on, or was given up.
struct OpenCall {
    world: World,
    session: usize,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.world.with(|state| state.close_call(self.session));
    }
}

/// Waits for `work`. What holds it up for longer than this is cut off, as by a time-out: the server
/// hangs up on requests that it holds, though it may act on them later.
pub(crate) async fn unstuck<T>(world: &World, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(HELD_UP, work.as_mut()).await {
            return done;
        }
        world.with(State::hang_up);
    }
}

/// Waits for `call`, which must end soon.
async fn bounded<T>(
    world: &World,
    session: usize,
    what: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(LONGEST, call).await.unwrap_or_else(|_| {
        world.with(|state| state.broken(Promise::NobodyWaitsForEver, format_args!("{what} of s{session} hangs")));
        Err(Error::new(ErrorKind::Other, "it hangs"))
    })
}
