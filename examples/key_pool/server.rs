//! A server on this machine that limits the calls and the tokens of each key in a second. Its
//! answers say what is left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jwt_refresh_testkit::{Answer, ReceivedRequest, Route, TestServer};
use serde::Deserialize;
use serde_json::json;

const WINDOW: Duration = Duration::from_secs(1);

/// What one key may do in each second.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
}

/// What the server counts of one key.
pub(crate) struct Meter {
    pub(crate) secret: String,
    pub(crate) quota: Quota,
    pub(crate) is_revoked: bool,
    /// Calls that were answered, of all time.
    pub(crate) calls: u64,
    /// Calls that were answered 429, of all time.
    pub(crate) refused: u64,
    window_began: Instant,
    used: Quota,
    /// What was used in the last window that is over.
    pub(crate) last: Quota,
}

const NOTHING: Quota = Quota { calls: 0, tokens: 0 };

impl Meter {
    pub(crate) fn new(secret: String, quota: Quota) -> Self {
        let window_began = Instant::now();
        Self { secret, quota, is_revoked: false, calls: 0, refused: 0, window_began, used: NOTHING, last: NOTHING }
    }

    /// Begins a new window if the last one is over.
    pub(crate) fn turn(&mut self) {
        let windows = self.window_began.elapsed().as_millis() / WINDOW.as_millis();
        if windows > 0 {
            self.last = if windows == 1 { self.used } else { NOTHING };
            self.used = NOTHING;
            self.window_began += WINDOW * u32::try_from(windows).unwrap_or(u32::MAX);
        }
    }

    /// Charges a call, unless that is above the quota.
    fn charge(&mut self, tokens: u64) -> bool {
        self.turn();
        let fits = self.used.calls < self.quota.calls && self.used.tokens + tokens <= self.quota.tokens;
        if fits {
            self.used = Quota { calls: self.used.calls + 1, tokens: self.used.tokens + tokens };
            self.calls += 1;
        } else {
            self.refused += 1;
        }
        fits
    }

    /// Says in headers what is left.
    fn tell(&self, answer: Answer) -> Answer {
        let reset = format!("{}ms", WINDOW.saturating_sub(self.window_began.elapsed()).as_millis() + 1);
        [
            ("x-ratelimit-limit-requests", self.quota.calls.to_string()),
            ("x-ratelimit-remaining-requests", (self.quota.calls - self.used.calls).to_string()),
            ("x-ratelimit-reset-requests", reset.clone()),
            ("x-ratelimit-limit-tokens", self.quota.tokens.to_string()),
            ("x-ratelimit-remaining-tokens", (self.quota.tokens - self.used.tokens).to_string()),
            ("x-ratelimit-reset-tokens", reset),
        ]
        .into_iter()
        .fold(answer, |answer, (name, value)| answer.header(name, &value))
    }
}

/// The meters of all keys.
#[derive(Clone)]
pub(crate) struct Meters(Arc<Mutex<Vec<Meter>>>);

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
    max_tokens: u64,
}

impl Meters {
    pub(crate) fn new(meters: Vec<Meter>) -> Self {
        Self(Arc::new(Mutex::new(meters)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Meter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server that limits calls by these meters.
    pub(crate) fn serve(&self) -> TestServer {
        let (completions, models) = (self.clone(), self.clone());
        let complete = move |request: &ReceivedRequest| {
            let Ok(Prompt { prompt, max_tokens }) = request.json() else { return Answer::new(400) };
            // A completion is shorter than it may be.
            let tokens = prompt.split_whitespace().count() as u64 + max_tokens * 3 / 5;
            completions.answer(request, tokens, || Answer::from(json!({ "text": "…", "tokens": tokens })))
        };
        let list =
            move |request: &ReceivedRequest| models.answer(request, 1, || Answer::from(json!(["small", "large"])));
        let server = TestServer::builder().route(Route::post("/v1/completions", complete).public());
        server.route(Route::get("/v1/models", list).public()).start()
    }

    /// Answers a call of this cost, or says why not.
    fn answer(&self, request: &ReceivedRequest, tokens: u64, answer: impl FnOnce() -> Answer) -> Answer {
        let mut meters = self.lock();
        let key = request.header("x-api-key");
        let meter = meters.iter_mut().find(|meter| Some(&*meter.secret) == key && !meter.is_revoked);
        let Some(meter) = meter else { return Answer::new(401) };
        let fits = meter.charge(tokens);
        meter.tell(if fits { answer() } else { Answer::new(429) })
    }
}
