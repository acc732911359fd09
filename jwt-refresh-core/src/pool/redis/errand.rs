//! One exchange of an auth worker: from the claim to what Redis is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracing::Instrument;
use zeroize::Zeroizing;

use super::fleet::binding;
use super::office::{Claim, Office, to_micros};
use super::record::NEVER;
use super::scripts::{FAILED, RENEWED};
use super::vault;
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::clock::{Moment, Timestamp};
use crate::error::Error;
use crate::policy::Policy;
use crate::pool::refresh_time::jittered_refresh_time;
use crate::redis::Script;
use crate::renewal::{
    Action, IssuedTokens, Lifetime, Outcome, Plan, RefreshCredential, RenewalContext, count_answer, exchange, revoke,
    within,
};
use crate::store::StoreError;

/// The pauses between attempts to tell Redis: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Makes the exchange, in a task of its own.
pub(super) fn run(office: &Arc<Office>, claim: Claim) {
    let span = tracing::debug_span!("jwt_refresh.exchange", pool = office.place.name, account = claim.account);
    let errand =
        Arc::new(Errand { office: Arc::clone(office), claim, good: AtomicU32::new(0), bad: AtomicU32::new(0) });
    let work = async move {
        let landing = errand.exchanged().await;
        errand.land(landing).await;
        errand.office.done(&errand.claim.account);
    };
    office.runtime.spawn(work.instrument(span));
}

struct Errand {
    office: Arc<Office>,
    claim: Claim,
    good: AtomicU32,
    bad: AtomicU32,
}

/// What Redis says to what it is told.
#[derive(PartialEq, Eq)]
enum Verdict {
    Taken,
    /// Another worker has taken over: it took this one for dead.
    Overtaken,
    /// The account was removed.
    Gone,
}

impl Errand {
    /// Makes the exchange in a task of its own: should the authenticator panic, the claim is given up all the same.
    async fn exchanged(self: &Arc<Self>) -> Outcome {
        let (errand, grant) = (Arc::clone(self), self.claim.grant.clone());
        let before = grant.clone();
        let work = async move { exchange(&*errand, Plan::Renew, grant, 1).await };
        let task = tokio::spawn(within(self.office.id, work).in_current_span());
        task.await.unwrap_or_else(|_| Outcome::cut_off(Plan::Renew, before))
    }

    async fn land(&self, landing: Outcome) {
        let (grant, told) = match landing {
            Outcome::Renewed(holding) | Outcome::Unsaved(holding) | Outcome::Found(holding) => {
                (holding.credential.clone(), self.renewed(&holding).await)
            }
            Outcome::Failed { error, credential: grant, .. } => (grant.clone(), self.failed(&error, &grant).await),
            Outcome::LoggedOut => return,
        };
        match told {
            Ok(Verdict::Taken) => {}
            Ok(Verdict::Overtaken) => {
                tracing::warn!(target: "jwt_refresh", account = self.claim.account, "another auth worker took over an exchange");
            }
            Ok(Verdict::Gone) => {
                let timeout = self.office.policy.tokens.refresh_timeout;
                let _ = revoke(&self.claim.charge.authenticator, &grant, timeout).await;
            }
            Err(error) => {
                tracing::error!(target: "jwt_refresh", account = self.claim.account, %error, "new tokens could not be kept");
            }
        }
    }

    async fn renewed(&self, holding: &IssuedTokens) -> Result<Verdict, StoreError> {
        let account = &self.claim.account;
        let token = self.office.place.cloak.wrap(&binding(account), holding.token.expose().as_bytes())?;
        let kept = vault::write(&self.office.vault, account, &holding.credential)?;
        let life = &holding.life;
        let again = self.again(life);
        let [usable, expires, again] = [life.due, life.expires, again].map(|edge| self.on_redis(edge).to_string());
        let arguments = [token, kept].into_iter().chain([usable, expires, again].map(|text| text.into_bytes().into()));
        self.tell(&RENEWED, arguments.collect()).await
    }

    /// When the tokens are to be exchanged again.
    fn again(&self, life: &Lifetime) -> Moment {
        if life.ahead == Moment::NEVER {
            return life.ahead;
        }
        let now = self.office.clock.moment().boot.as_nanos();
        let boot = jittered_refresh_time(life.ahead.boot.as_nanos(), life.expires.boot.as_nanos(), now);
        Moment { boot: Timestamp::from_nanos(boot), ..life.ahead }
    }

    async fn failed(&self, error: &Error, grant: &RefreshCredential) -> Result<Verdict, StoreError> {
        let failures = u8::try_from(self.claim.failures.saturating_add(1)).unwrap_or(u8::MAX);
        let is_final = !error.is_transient();
        let pause = self.office.policy.failure_pause(error, failures);
        let kept = vault::write(&self.office.vault, &self.claim.account, grant)?;
        let pause = pause.as_micros().to_string();
        let texts = [pause, u8::from(is_final).to_string(), error.to_string()];
        let arguments = [kept].into_iter().chain(texts.map(|text| text.into_bytes().into()));
        self.tell(&FAILED, arguments.collect()).await
    }

    /// Tells Redis until it listens: what a server has issued must not be lost because Redis is away for a while.
    async fn tell(&self, script: &Script, arguments: Vec<Zeroizing<Vec<u8>>>) -> Result<Verdict, StoreError> {
        let keys = &self.office.place.keys;
        let counts = [&self.good, &self.bad].map(|count| count.load(Ordering::Relaxed).to_string());
        let mut all = vec![keys.base.as_bytes(), self.claim.owner.as_bytes(), self.claim.account.as_bytes()];
        all.extend(arguments.iter().map(|argument| argument.as_slice()));
        all.extend(counts.iter().map(String::as_bytes));
        let mut pause = PAUSE.0;
        loop {
            match self.office.link.run::<i64>(script, &[&keys.stats, &keys.vault], &all).await {
                Ok(1) => return Ok(Verdict::Taken),
                Ok(-1) => return Ok(Verdict::Gone),
                Ok(_) => return Ok(Verdict::Overtaken),
                Err(error) if error.kind() == crate::store::StoreErrorKind::Configuration => return Err(error),
                Err(error) => {
                    tracing::warn!(target: "jwt_refresh", %error, "the pool's Redis does not take what was issued");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// A moment on Redis's clock.
    fn on_redis(&self, edge: Moment) -> f64 {
        if edge.boot == Moment::NEVER.boot { NEVER } else { (to_micros(edge.boot) + self.claim.ahead).floor() }
    }
}

impl RenewalContext for Errand {
    fn authenticator(&self) -> &Arc<dyn DynAuthenticator> {
        &self.claim.charge.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.office.policy.tokens
    }

    fn clock(&self) -> &Clock {
        &self.office.clock
    }

    fn failures(&self) -> u32 {
        self.claim.failures
    }

    fn answered(&self, action: Action, error: Option<&Error>) {
        count_answer(action, error);
        let count = if error.is_none() { &self.good } else { &self.bad };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whoever has the claim is alone.
    async fn rotated_elsewhere(&self, _sequence: u64) -> Option<Outcome> {
        None
    }
}
