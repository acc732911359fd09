//! What a walk is made of: how it is set up, and what happens in it, drawn at random beforehand.

use std::time::Duration;

use jwt_refresh::Policy;
use jwt_refresh::store::{CorruptEntry, StoreFailure};

use crate::answer::{Answer, Arrives, Date, Hold, Says};
use crate::exchange::{Action, Meaning};
use crate::hints::Hints;
use crate::issuer::Rotation;
use crate::random::Random;
use crate::refusals::REFUSALS;
use crate::store::{Fault, Method};

/// After so long an exchange is given up, in real time. That is longer than a busy machine holds
/// anything up: requests that are held end because the server hangs up.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// A call of the store that hangs takes so long.
const STORE_TIMEOUT: Duration = Duration::from_millis(250);
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(80));

/// What the sessions of a walk are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One session without a store.
    Alone,
    /// The same, from tokens that a person captured; it cannot log in.
    Captured,
    /// Up to three sessions that share a store, which does not fail.
    Shared,
    /// The same, with a store that fails.
    Faults,
}

/// How a walk is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) processes: usize,
    pub(crate) can_login: bool,
    /// Whether each session is given the same tokens, which were captured at the beginning.
    pub(crate) captured: bool,
    pub(crate) keep_fresh: bool,
    pub(crate) rotation: Rotation,
    pub(crate) life: Duration,
    /// What the server says when it is well.
    pub(crate) hints: Hints,
    /// By how many seconds the server's clock is ahead.
    pub(crate) ahead: i64,
    pub(crate) store_failure: StoreFailure,
    pub(crate) corrupt_entry: CorruptEntry,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// This number of callers ask for a token, and the walk waits for them.
    Call {
        process: usize,
        callers: u64,
    },
    /// One asks for a token, and the walk goes on as soon as it is held up.
    Begin {
        process: usize,
    },
    /// Calls that wait are dropped.
    Abandon {
        process: usize,
    },
    /// The API is called; a 401 is reported.
    Api {
        process: usize,
    },
    Login {
        process: usize,
        waits: bool,
    },
    Logout {
        process: usize,
        waits: bool,
    },
    Adopt {
        process: usize,
        waits: bool,
    },
    Flush {
        process: usize,
    },
    /// Time passes, on both clocks.
    Pass(Duration),
    /// The wall clock of the sessions is stepped by this number of seconds.
    WallClock(i64),
    /// The server's clock is ahead by this number of seconds from now on.
    ServerClock(i64),
    /// What becomes of the next request.
    Answer(Action, Answer),
    Unreachable,
    /// All requests that are held go on.
    Release,
    Password {
        is_known: bool,
    },
    RevokeAccess,
    RevokeRefresh,
    Kill {
        process: usize,
    },
    StoreFault {
        process: usize,
        method: Method,
        fault: Fault,
    },
    /// A store that is up again has no nonsense in it: a person has seen to that.
    StoreDown {
        is_down: bool,
    },
    /// The entry is overwritten with nonsense.
    Ruin,
}

impl Setup {
    pub(crate) fn draw(kind: Kind, random: &mut Random) -> Self {
        let shares_store = !matches!(kind, Kind::Alone | Kind::Captured);
        let can_login = match kind {
            Kind::Alone => true,
            Kind::Captured => false,
            Kind::Shared | Kind::Faults => random.below(5) > 0,
        };
        Self {
            kind,
            processes: if shares_store { 1 + one(random, &[0, 1, 1, 2]) } else { 1 },
            can_login,
            captured: !can_login || random.below(6) == 0,
            keep_fresh: random.below(4) == 0,
            rotation: one(random, &[Rotation::New, Rotation::New, Rotation::New, Rotation::Same, Rotation::Unsaid]),
            life: Duration::from_secs(one(random, &[5, 60, 60, 300, 3600])),
            hints: one(random, &[Hints::ExpiresIn, Hints::ExpiresIn, Hints::Exp, Hints::Both]),
            ahead: one(random, &[0, 0, 0, 3600, -3600]),
            store_failure: match random.below(6) {
                0 => StoreFailure::Fail,
                1 if kind == Kind::Faults => StoreFailure::RefreshUnguarded,
                _ => StoreFailure::ServeWhatLives,
            },
            corrupt_entry: one(random, &[CorruptEntry::TreatAsEmpty, CorruptEntry::TreatAsDown]),
        }
    }

    pub(crate) fn shares_store(&self) -> bool {
        !matches!(self.kind, Kind::Alone | Kind::Captured)
    }

    /// Returns the library's defaults, but for times that are waited for in real time.
    pub(crate) fn policy(&self) -> Policy {
        Policy::default()
            .login_timeout(TIMEOUT)
            .refresh_timeout(TIMEOUT)
            .store_timeout(STORE_TIMEOUT)
            .backoff(PAUSES.0, PAUSES.1)
            .store_failure(self.store_failure)
            .corrupt_entry(self.corrupt_entry)
    }

    /// Draws a walk of about this number of steps.
    pub(crate) fn steps(&self, random: &mut Random, length: u64) -> Vec<Step> {
        (0..length).filter_map(|_| self.step(random)).collect()
    }

    /// Draws the next step. Returns `None` if it is one that this walk does not take.
    fn step(&self, random: &mut Random) -> Option<Step> {
        let process = usize::try_from(random.below(self.processes as u64)).unwrap_or(0);
        let waits = random.below(3) > 0;
        Some(match random.below(100) {
            0..=11 => Step::Call { process, callers: 1 + random.below(4) },
            12..=22 => Step::Begin { process },
            23..=24 => Step::Abandon { process },
            25..=31 => Step::Api { process },
            32..=34 => Step::Login { process, waits },
            35..=37 => Step::Logout { process, waits },
            38..=39 => Step::Adopt { process, waits },
            40 => Step::Flush { process },
            41..=60 => Step::Pass(self.time(random)),
            61 => Step::WallClock(one(random, &[3600, -3600, 45, -45, 1, -1])),
            62 => Step::ServerClock(one(random, &[0, 3600, -3600])),
            63..=79 => self.answer(random),
            80 => Step::Unreachable,
            81..=82 => Step::Release,
            83 => Step::Password { is_known: false },
            84..=86 => Step::Password { is_known: true },
            87 => Step::RevokeAccess,
            88 => Step::RevokeRefresh,
            89..=91 => Step::Kill { process },
            92..=99 if self.kind == Kind::Faults => Self::trouble(process, random),
            _ => return None,
        })
    }

    /// Draws a time: up to the middle of a token's life, to its last part, past it, or to the end
    /// of a pause.
    fn time(&self, random: &mut Random) -> Duration {
        let (from, to) = one(random, &[(1, 50), (85, 100), (92, 102), (92, 102), (100, 110), (100, 110), (200, 400)]);
        match random.below(5) {
            0 => Duration::from_millis(100 + random.below(40_000)),
            _ => self.life * u32::try_from(from + random.below(to - from)).unwrap_or(0) / 100,
        }
    }

    fn answer(&self, random: &mut Random) -> Step {
        let actions = [Action::Refresh, Action::Refresh, Action::Login];
        let action = if self.can_login { one(random, &actions) } else { Action::Refresh };
        let hold = one(random, &[Hold::No, Hold::No, Hold::BeforeItActs, Hold::AfterItActed]);
        let retry_after = if random.below(4) == 0 { Some(one(random, &[0, 1, 20])) } else { None };
        let is_coin_up = random.below(2) == 0;
        let well = Answer { hold, ..Answer::well(self.hints) };
        let answer = match random.below(10) {
            0..=3 => {
                let of_action = REFUSALS.iter().filter(|refusal| refusal.action == action);
                let refusal = one(random, &of_action.collect::<Vec<_>>());
                let acts = is_coin_up && refusal.meaning == Meaning::InDoubt;
                Answer { says: Says::Refusal(refusal), acts, retry_after, ..well }
            }
            4 => Answer { arrives: Arrives::Nothing, acts: is_coin_up, ..well },
            5 => Answer { arrives: Arrives::Half, acts: is_coin_up, ..well },
            6 => {
                let hints = [Hints::ExpiresIn, Hints::Exp, Hints::Both, Hints::None, Hints::Malformed, Hints::Odd];
                Answer { says: Says::Tokens(one(random, &hints)), ..well }
            }
            7 => Answer { date: one(random, &[Date::Missing, Date::Year1970, Date::Year2036]), ..well },
            _ => well,
        };
        Step::Answer(action, answer)
    }

    fn trouble(process: usize, random: &mut Random) -> Step {
        const FAULTS: [(Method, &[Fault]); 3] = [
            (Method::Load, &[Fault::Down, Fault::Hangs, Fault::Torn, Fault::Foreign, Fault::Old]),
            (Method::Save, &[Fault::Down, Fault::AnswerLost, Fault::Hangs, Fault::HangsAfter]),
            (Method::Lease, &[Fault::Down, Fault::Hangs, Fault::Shared]),
        ];
        match random.below(10) {
            0 => Step::StoreDown { is_down: true },
            1..=2 => Step::StoreDown { is_down: false },
            3 => Step::Ruin,
            _ => {
                let (method, faults) = one(random, &FAULTS);
                Step::StoreFault { process, method, fault: one(random, faults) }
            }
        }
    }
}

/// Draws one of them.
fn one<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[usize::try_from(random.below(of.len() as u64)).unwrap_or(0)]
}
