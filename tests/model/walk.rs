//! One walk: a server, sessions that use it, and what happens to them, step by step.

use std::time::{Duration, Instant};

use jwt_refresh::store::{MemoryStore, StoreEntry, TokenStore};
use jwt_refresh::{Clock, ErrorKind, TokenProvider, Tokens};
use tokio::net::TcpListener;

use crate::hints::Hints;
use crate::history::Promise;
use crate::plan::{Setup, Step};
use crate::process::{ACCOUNT, Captured, Process, unstuck};
use crate::server;
use crate::state::{State, Wish};
use crate::world::World;

/// How long it may take, in real time, until all sessions of a store have heard of a logout.
const NEWS: Duration = Duration::from_secs(60);
/// How long it may take until a session has seen that a clock was moved.
const NOTICE: Duration = Duration::from_secs(60);
/// How long a call may take until it has ended or is held up.
const STARTED: Duration = Duration::from_secs(2);

const NONSENSE: &[u8] = b"nonsense";

pub(crate) struct Walk {
    pub(crate) world: World,
    pub(crate) setup: Setup,
    store: Option<MemoryStore>,
    pub(crate) processes: Vec<Option<Process>>,
    captured: Option<Captured>,
    /// The entry that nonsense was written over.
    ruined: Option<StoreEntry>,
}

/// What came of a walk.
pub(crate) struct Report {
    pub(crate) broken: Option<Promise>,
    pub(crate) history: String,
    pub(crate) exchanges: usize,
    pub(crate) reuses: u32,
    pub(crate) kills: usize,
}

/// Takes all steps, or those up to the first at which a promise is broken.
pub(crate) async fn walk(setup: &Setup, steps: &[Step]) -> Report {
    let mut walk = Walk::new(setup.clone()).await;
    for step in steps {
        if walk.is_broken() {
            break;
        }
        walk.world.with(|state| state.note(format_args!("- {step:?}")));
        walk.take(step).await;
    }
    if !walk.is_broken() {
        walk.recover().await;
    }
    walk.end().await
}

impl Walk {
    async fn new(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let world = World::new(State::new(setup.clone()), address);
        tokio::spawn(server::serve(listener, world.clone()));
        let store = setup.shares_store().then(MemoryStore::new);
        let processes = (0..setup.processes).map(|_| None).collect();
        let mut walk = Self { world, setup, store, processes, captured: None, ruined: None };
        walk.captured = walk.setup.captured.then(|| walk.capture());
        for process in 0..walk.setup.processes {
            walk.process(process);
        }
        walk
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.world.with(|state| state.history.first_broken().is_some())
    }

    /// Returns tokens that a person got by logging in elsewhere.
    pub(crate) fn capture(&self) -> Captured {
        let ends = Clock::from(self.world.clock()).now() + self.setup.life;
        let issued = self.world.with(|state| {
            let issued = state.issuer.log_in(state.now, Hints::ExpiresIn);
            state.note(format_args!("a person gets {issued:?}"));
            issued
        });
        let tokens = Tokens::new(&issued.access).expect("a token").expires_at(ends);
        let tokens = issued.refresh.iter().fold(tokens, |tokens, refresh| tokens.refresh_token(refresh.as_str()));
        Captured { tokens, refresh: issued.refresh }
    }

    /// Returns the process, which is started if it is dead.
    pub(crate) fn process(&mut self, process: usize) -> &mut Process {
        let start = || Process::start(&self.world, self.store.as_ref(), self.captured.clone());
        self.processes[process].get_or_insert_with(start)
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Call { process, callers } => {
                let process = self.process(process);
                (0..callers).for_each(|_| drop(process.call()));
                process.settle().await;
            }
            Step::Begin { process } => self.begin(process).await,
            Step::Abandon { process } => self.process(process).abandon(),
            Step::Api { process } => self.call_api(process).await,
            Step::Login { process, waits } => {
                self.process(process).log_in();
                self.settle_if(waits, process).await;
            }
            Step::Logout { process, waits } => {
                self.process(process).log_out();
                self.settle_if(waits, process).await;
                self.logout_is_heard().await;
            }
            Step::Adopt { process, waits } => {
                let captured = self.capture();
                self.process(process).adopt(captured);
                self.settle_if(waits, process).await;
            }
            Step::Flush { process } => self.process(process).flush().await,
            Step::Pass(time) => {
                self.world.pass(time);
                self.notice().await;
            }
            Step::WallClock(by) => {
                self.step_wall(by);
                self.notice().await;
            }
            Step::Kill { process } => {
                if let Some(process) = self.processes[process].take() {
                    process.kill().await;
                }
            }
            Step::StoreFault { process, method, fault } => {
                if let Some(store) = &self.process(process).store {
                    store.inject(method, fault);
                }
            }
            Step::StoreDown { is_down } => self.set_store_down(is_down).await,
            Step::Ruin => self.ruin().await,
            ref other => self.change_server(other),
        }
        // What was begun is polled once, and events are noted.
        tokio::task::yield_now().await;
    }

    async fn set_store_down(&mut self, is_down: bool) {
        let stores = self.processes.iter().flatten().filter_map(|process| process.store.as_ref());
        stores.for_each(|store| store.set_down(is_down));
        if !is_down {
            self.restore().await;
        }
    }

    fn change_server(&self, step: &Step) {
        self.world.with(|state| match *step {
            Step::ServerClock(ahead) => state.issuer.ahead = ahead,
            Step::Answer(action, answer) => state.script.push_back((action, answer)),
            Step::Unreachable => state.unreachable += 1,
            Step::Release => state.releases += 1,
            Step::Password { is_known } => state.issuer.knows_password = is_known,
            Step::RevokeAccess => state.issuer.revoke_access(),
            Step::RevokeRefresh => state.issuer.revoke_refresh(),
            _ => {}
        });
    }

    async fn settle_if(&mut self, waits: bool, process: usize) {
        if waits {
            self.process(process).settle().await;
        }
    }

    /// Waits until the call has ended or is held up.
    async fn begin(&mut self, process: usize) {
        let stuck = self.world.with(|state| state.stuck);
        let world = self.world.clone();
        let mut answered = self.process(process).call();
        world.until(STARTED, |state| state.stuck > stuck || answered.try_recv().is_ok()).await;
    }

    async fn call_api(&mut self, process: usize) {
        let world = self.world.clone();
        let process = self.process(process);
        let Ok(Ok(token)) = unstuck(&world, process.call()).await else { return };
        if let Some(number) = world.with(|state| state.api(token.expose())) {
            // It may be given up.
            let _ = unstuck(&world, process.reject(token, number)).await;
        }
    }

    /// Returns whether a logout has just succeeded, and nothing keeps the others from hearing of
    /// it.
    fn is_logged_out_everywhere(&self) -> bool {
        let healthy = |process: &Process| process.store.as_ref().is_some_and(|store| !store.is_sick());
        self.setup.shares_store()
            && self.processes.iter().flatten().all(healthy)
            && self.world.with(|state| {
                let Some(last) = state.operations.last().filter(|last| last.wish == Wish::Logout) else { return false };
                let succeeded = last.ended.is_some_and(|(_, succeeded)| succeeded);
                let is_alone = state.operations.iter().all(|operation| operation.ended.is_some());
                succeeded && is_alone && !state.came_back_since(last.begun) && !state.amnesia
            })
    }

    /// Waits until all sessions of the store are logged out.
    async fn logout_is_heard(&mut self) {
        if !self.is_logged_out_everywhere() {
            return;
        }
        let begun = Instant::now();
        for process in self.processes.iter_mut().flatten() {
            loop {
                let world = &self.world;
                let Ok(answered) = unstuck(world, process.call()).await else { break };
                if answered.is_err_and(|error| error.kind() == ErrorKind::LoggedOut) {
                    world.with(|state| state.is_logged_out(process.number));
                    break;
                }
                if begun.elapsed() > NEWS {
                    let what = format!("s{} has not heard of a logout", process.number);
                    return world.with(|state| state.broken(Promise::NothingAfterLogout, what));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Waits until no session would serve an expired token. The check before a call reads a clock
    /// that can be stepped back; a task beside the session ends that soon.
    async fn notice(&mut self) {
        let begun = Instant::now();
        for process in self.processes.iter().flatten() {
            while let Some(token) = TokenProvider::ready(&process.session) {
                let has_ended = self.world.with(|state| {
                    let Some(access) = state.issuer.access(token.expose()) else { return false };
                    let is_excused = state.is_known_by_old_clock(process.number, access.number);
                    access.told.is_some_and(|told| state.now >= told && !is_excused)
                });
                if !has_ended {
                    break;
                }
                if begun.elapsed() > NOTICE {
                    let what = format!("s{} has not seen that a token has expired", process.number);
                    return self.world.with(|state| state.broken(Promise::NoExpiredToken, what));
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn step_wall(&self, by: i64) {
        let clock = self.world.clock();
        let shown = Clock::from(clock).now();
        let step = Duration::from_secs(by.unsigned_abs());
        if by < 0 {
            self.world.with(State::step_back);
        }
        clock.step_to(if by < 0 { shown - step } else { shown + step });
    }

    /// Overwrites the entry.
    async fn ruin(&mut self) {
        let Some(store) = &self.store else { return };
        self.world.with(|state| {
            state.trouble();
            state.forget();
        });
        let Ok(Some(entry)) = store.load(ACCOUNT).await else { return };
        let ruined = StoreEntry { revision: entry.revision + 1, data: NONSENSE.to_vec().into() };
        // A session may have written meanwhile, which is as good.
        if store.save(ACCOUNT, &ruined).await.is_ok() && *entry.data != *NONSENSE {
            self.ruined = Some(entry);
        }
    }

    /// Puts the entry back, as a person would, if it is still nonsense.
    pub(crate) async fn restore(&mut self) {
        let (Some(store), Some(ruined)) = (&self.store, self.ruined.take()) else { return };
        let Ok(Some(StoreEntry { revision, data })) = store.load(ACCOUNT).await else { return };
        if *data != *NONSENSE {
            return;
        }
        let (old, new) = (format!("\"revision\":{},", ruined.revision), format!("\"revision\":{},", revision + 1));
        let data = String::from_utf8_lossy(&ruined.data).replace(&old, &new).into_bytes();
        let restored = StoreEntry { revision: revision + 1, data: data.into() };
        // A session may have written meanwhile, which is as good.
        let _ = store.save(ACCOUNT, &restored).await;
    }

    /// Ends all processes.
    async fn end(mut self) -> Report {
        let report = self.world.with(|state| Report {
            broken: state.history.first_broken(),
            history: state.history.show(),
            exchanges: state.exchanges.len(),
            reuses: state.issuer.reuses,
            kills: state.sessions.iter().filter(|session| session.killed).count(),
        });
        for process in self.processes.drain(..).flatten() {
            process.kill().await;
        }
        report
    }
}
