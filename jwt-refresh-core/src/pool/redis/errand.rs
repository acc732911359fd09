//! One exchange of an auth worker: from the claim to what Redis is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracing::Instrument;
use zeroize::Zeroizing;

use super::super::spread::earlier;
use super::fleet::binding;
use super::office::{Claim, Office, to_micros};
use super::record::NEVER;
use super::scripts::{FAILED, RENEWED};
use super::vault;
use crate::authenticator::AnyAuthenticator;
use crate::clock::{Moment, Timestamp};
use crate::redis::Script;
use crate::session::{Grant, Holding, Landing, Lifetime, Party, Plan, count_answer, exchange, within};
use crate::{Clock, Error, ErrorKind, Policy, StoreError};

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
    async fn exchanged(self: &Arc<Self>) -> Landing {
        let (errand, grant) = (Arc::clone(self), self.claim.grant.clone());
        let doubt = grant.clone().in_doubt();
        let work = async move { exchange(&*errand, Plan::Renew, grant, 1).await };
        let task = tokio::spawn(within(self.office.id, work).in_current_span());
        task.await.unwrap_or_else(|_| {
            let what = "the exchange was cut off by a panic or the end of its runtime";
            Landing::failed(Error::new(ErrorKind::Aborted, what), doubt)
        })
    }

    async fn land(&self, landing: Landing) {
        let (grant, told) = match landing {
            Landing::Renewed(holding) | Landing::Unsaved(holding) => {
                (holding.grant.clone(), self.renewed(&holding).await)
            }
            Landing::Failed { error, grant, .. } => (grant.clone(), self.failed(&error, &grant).await),
            Landing::LoggedOut => return,
        };
        match told {
            Ok(Verdict::Taken) => {}
            Ok(Verdict::Overtaken) => {
                tracing::warn!(target: "jwt_refresh", account = self.claim.account, "another auth worker took over an exchange");
            }
            Ok(Verdict::Gone) => revoke(&self.claim.charge.authenticator, grant).await,
            Err(error) => {
                tracing::error!(target: "jwt_refresh", account = self.claim.account, %error, "new tokens could not be kept");
            }
        }
    }

    async fn renewed(&self, holding: &Holding) -> Result<Verdict, StoreError> {
        let account = &self.claim.account;
        let token = self.office.place.cloak.wrap(&binding(account), holding.token.expose().as_bytes())?;
        let kept = vault::write(&self.office.vault, account, &holding.grant)?;
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
        let boot = earlier(life.ahead.boot.as_nanos(), life.expires.boot.as_nanos(), now);
        Moment { boot: Timestamp::from_nanos(boot), ..life.ahead }
    }

    async fn failed(&self, error: &Error, grant: &Grant) -> Result<Verdict, StoreError> {
        let (policy, failures) = (&self.office.policy, self.claim.failures.saturating_add(1));
        let is_final = !error.is_transient();
        let pause = if is_final {
            policy.quarantine_pause(u8::try_from(failures).unwrap_or(u8::MAX))
        } else {
            policy.tokens.pause(failures, error.retry_after())
        };
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
                Err(error) if error.kind() == crate::StoreErrorKind::Configuration => return Err(error),
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

/// Ends a login that nobody will use, as far as its server lets it.
pub(super) async fn revoke(authenticator: &Arc<dyn AnyAuthenticator>, grant: Grant) {
    let (Grant::Sound(token) | Grant::Doubtful(token)) = grant else { return };
    if let Err(error) = Arc::clone(authenticator).revoke(token).await {
        tracing::debug!(target: "jwt_refresh", %error, "a refresh token was not revoked");
    }
}

impl Party for Errand {
    fn authenticator(&self) -> &Arc<dyn AnyAuthenticator> {
        &self.claim.charge.authenticator
    }

    fn policy(&self) -> &Policy {
        &self.office.policy.tokens
    }

    fn clock(&self) -> &Clock {
        &self.office.clock
    }

    fn answered(&self, action: &'static str, error: Option<&Error>) {
        count_answer(action, error.is_none());
        let count = if error.is_none() { &self.good } else { &self.bad };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whoever has the claim is alone.
    async fn rotated_elsewhere(&self, _issue: u64) -> Option<Landing> {
        None
    }
}
