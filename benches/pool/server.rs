//! A server in memory, which counts how its tokens are renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::{Authenticator, Error, RefreshToken, Tokens};

/// The length of a slice of time, for which answers are counted together.
pub(crate) const SLICE: Duration = Duration::from_millis(100);
/// How many slices are counted. The bench ends before they are over.
const SLICES: usize = 10_000;

pub(crate) struct Server {
    lifetime: Duration,
    begun: Instant,
    /// When each account got its last token, in milliseconds since `begun`, plus 1. 0 means never.
    issued: Vec<AtomicU32>,
    /// Whether each account was refreshed.
    renewed: Vec<AtomicBool>,
    /// How many answers are under way now.
    now: AtomicUsize,
    /// How many answers were under way at once, at most.
    pub(crate) most: AtomicUsize,
    pub(crate) logins: AtomicUsize,
    /// How many accounts were refreshed at least once.
    pub(crate) refreshed: AtomicUsize,
    /// How many tokens were renewed after they had expired.
    pub(crate) late: AtomicUsize,
    /// How old the oldest token was when it was renewed, in milliseconds.
    pub(crate) oldest: AtomicU64,
    /// How many answers were given in each slice of time.
    slices: Vec<AtomicU32>,
}

impl Server {
    /// Returns a server whose tokens live for `lifetime`. It counts for the accounts with numbers
    /// below `watched`.
    pub(crate) fn new(lifetime: Duration, watched: usize) -> Arc<Self> {
        let zeros = |number| std::iter::repeat_with(AtomicU32::default).take(number).collect();
        let renewed = std::iter::repeat_with(AtomicBool::default).take(watched).collect();
        Arc::new(Self {
            lifetime,
            begun: Instant::now(),
            issued: zeros(watched),
            renewed,
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            refreshed: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            oldest: AtomicU64::new(0),
            slices: zeros(SLICES),
        })
    }

    /// Returns how many answers were given in each slice of time, up to the last slice with any.
    pub(crate) fn slices(&self) -> Vec<u32> {
        let mut slices: Vec<_> = self.slices.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        while slices.pop_if(|count| *count == 0).is_some() {}
        slices
    }

    async fn answer(&self, account: usize) -> Result<Tokens, Error> {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.watch(account);
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(Tokens::new("opaque-access-token")?.refresh_token("opaque-refresh-token").expires_in(self.lifetime))
    }

    fn watch(&self, account: usize) {
        let Some(issued) = self.issued.get(account) else { return };
        let now = u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX - 1);
        let slice = self.begun.elapsed().as_nanos() / SLICE.as_nanos();
        if let Some(slice) = self.slices.get(usize::try_from(slice).unwrap_or(SLICES)) {
            slice.fetch_add(1, Ordering::Relaxed);
        }
        let Some(before) = issued.swap(now + 1, Ordering::Relaxed).checked_sub(1) else { return };
        if self.renewed.get(account).is_some_and(|renewed| !renewed.swap(true, Ordering::Relaxed)) {
            self.refreshed.fetch_add(1, Ordering::Relaxed);
        }
        let age = u64::from(now - before);
        self.oldest.fetch_max(age, Ordering::Relaxed);
        if u128::from(age) >= self.lifetime.as_millis() {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The authenticator of an account that the server does not watch.
impl Authenticator for Server {
    async fn login(&self) -> Result<Tokens, Error> {
        self.answer(usize::MAX).await
    }
}

/// The authenticator of an account that the server watches.
pub(crate) struct Login {
    server: Arc<Server>,
    account: usize,
}

impl Login {
    pub(crate) fn at(server: &Arc<Server>, account: usize) -> Self {
        Self { server: Arc::clone(server), account }
    }
}

impl Authenticator for Login {
    async fn login(&self) -> Result<Tokens, Error> {
        self.server.logins.fetch_add(1, Ordering::Relaxed);
        self.server.answer(self.account).await
    }

    async fn refresh(&self, _: &RefreshToken) -> Result<Tokens, Error> {
        self.server.answer(self.account).await
    }
}
