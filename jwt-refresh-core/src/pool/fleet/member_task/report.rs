//! What a process tells Redis: that it lives, what its callers ask for, and what it gives back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{LONGEST_BEAT, MemberTask, NEWS, UsedShare};
use crate::pool::definition::Definition;
use crate::pool::fleet::messages::{Figures, MemberReport, Release, Rest, ShareRow};
use crate::pool::fleet::mirror::unexpected;
use crate::pool::fleet::redis_time::RedisTime;
use crate::pool::fleet::scripts::{BEAT, RELEASE, WANT};
use crate::pool::share::AccountState;
use crate::store::StoreError;

impl MemberTask {
    /// Tells Redis what was released, what calls have cost since, and which tokens are to be
    /// renewed.
    pub(super) async fn tell(&mut self) -> Result<(), StoreError> {
        if !self.releases.unsent.is_empty() {
            let mut arguments = vec![self.place.keys.channel("coordinator")];
            arguments.extend(self.releases.unsent());
            self.link.run::<i64>(&RELEASE, &[&self.place.keys.released], &arguments).await?;
            self.releases.unsent.clear();
            self.releases.told.retain(|account, told| told.held > 0 || self.shares.rows.contains_key(account));
        }
        if self.has_new_wants && !self.wants.is_empty() {
            let mut arguments = vec![self.place.keys.channel("wants")];
            for (account, (sequence, cause)) in &self.wants {
                arguments.extend([account.clone(), sequence.to_string(), cause.name().to_owned()]);
            }
            self.link.run::<i64>(&WANT, &[&self.place.keys.wants], &arguments).await?;
            self.has_new_wants = false;
            // Whether there is a new token is seen here only of what is held.
            self.wants.retain(|account, _| self.held.contains_key(account));
        }
        Ok(())
    }

    /// Returns what to say, if it is time to say something, and whether the coordinator should hear
    /// of it at once.
    pub(super) fn report(&mut self) -> Option<(MemberReport, bool)> {
        let now = self.now();
        let passed = self.said.passed(now);
        let has_rests = std::mem::take(&mut self.news.rests);
        // What Redis was told last it may not have heard.
        let is_unsure = self.standing.joins || self.standing.is_disconnected;
        let is_due = has_rests || is_unsure || passed >= (self.share_time / 3).min(LONGEST_BEAT);
        let is_early = std::mem::take(&mut self.has_new_demand) && self.said.may_hurry(now);
        if !is_due && !is_early && passed < NEWS {
            return None;
        }
        let is_news = self.said.next(self.pool.demand(), now).is_news_after(&self.said);
        if !is_due && !is_news {
            return None;
        }
        let mut said = self.said.next(self.pool.take_demand(), now);
        if !is_due {
            said.hurry(now);
        }
        self.said = said;
        self.tell_again();
        let report = MemberReport {
            demand: self.said.demand.clone().into_iter().collect(),
            wanted: self.said.wanted.clone().into_iter().collect(),
            incarnation: self.incarnation.clone(),
            asks: self.standing.asks,
            claims: if self.standing.asks.is_some() { self.held.clone() } else { BTreeMap::new() },
            rests: self.rests(),
            figures: self.figures(),
        };
        Some((report, has_rests || is_news))
    }

    /// Returns what a member says when all that it had is given back: which shares it has used
    /// last. The coordinator may have given it others since. `rests` are those of accounts of which
    /// others have parts.
    pub(super) fn last_report(&self, rests: BTreeMap<String, Rest>) -> String {
        let row = |used: &UsedShare| ShareRow { grant: used.grant, ..ShareRow::default() };
        let claims = self.used.iter().map(|(account, used)| (account.clone(), row(used))).collect();
        serde_json::to_string(&MemberReport { claims, rests, ..MemberReport::default() }).unwrap_or_default()
    }

    /// Plans to tell again what Redis may have forgotten.
    fn tell_again(&mut self) {
        self.has_new_wants = !self.wants.is_empty();
        for (account, mut told) in self.releases.told.clone() {
            let is_leaving = self.shares.rows.get(&account).is_some_and(|row| row.leaving > 0);
            if told.held == 0 && !is_leaving {
                continue;
            }
            // If this process has the account again, leases within its share count for others no
            // more.
            if let Some(row) = self.held.get(&account) {
                told.held = told.held.min(self.leases_beyond(&account, row));
            }
            self.releases.tell(&account, told);
        }
    }

    fn figures(&self) -> Figures {
        let status = self.pool.status();
        let resting = status.quarantined.iter().filter(|account| account.cause.is_rest()).map(|account| {
            let left = account.returns_in.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            (account.account.clone(), account.cause.name().to_owned(), left)
        });
        let (leases, per_minute) = (self.said.leases, self.pool.calls_per_minute());
        Figures { waiting: status.waiting, leases, per_minute, resting: resting.collect() }
    }

    pub(super) fn rests(&mut self) -> BTreeMap<String, Rest> {
        let now = self.now();
        let Some(time) = self.time else { return BTreeMap::new() };
        self.rests.retain(|_, (_, until)| *until > now);
        let rests = self.rests.iter().filter(|(account, _)| self.is_divided(account));
        rests.map(|(account, (cause, until))| (account.clone(), (cause.name().to_owned(), time.late(*until)))).collect()
    }

    /// Says that this process lives, and what it needs. Its shares are extended by that.
    pub(super) async fn beat(&mut self, report: &MemberReport, is_news: bool) -> Result<(), StoreError> {
        let keys = Arc::clone(&self.place.keys);
        let flag = |is: bool| if is { "1" } else { "0" }.to_owned();
        let (share_rows, share_changes) = keys.shares_of(&self.name);
        let arguments = [
            self.name.clone(),
            serde_json::to_string(report).unwrap_or_default(),
            flag(self.standing.joins),
            flag(is_news),
            keys.channel("coordinator"),
            self.share_time.as_micros().to_string(),
            keys.state.clone(),
            share_rows,
            share_changes,
        ];
        let sent = self.now();
        let answer: Vec<String> = self.link.run(&BEAT, &[&keys.demand], &arguments).await?;
        let received = self.now();
        let number = |text: &String| text.parse::<u64>().map_err(|_| unexpected());
        let [seconds, micros, known @ ..] = &answer[..] else { return Err(unexpected()) };
        let now = number(seconds)? * 1_000_000 + number(micros)?;
        self.time = Some(RedisTime::measure(self.time, now, sent, received));
        if std::mem::take(&mut self.standing.is_disconnected) {
            tracing::info!(target: "jwt_refresh", "a fleet's Redis is back");
        }
        self.pool.set_disconnected(None);
        let [share_time, incarnation, accounts, shares, is_whole] = known else {
            self.rejoin(received);
            return Ok(());
        };
        let (accounts, shares) = (number(accounts)?, number(shares)?);
        self.extend_shares(Duration::from_micros(number(share_time)?), sent, received);
        // Rows of an earlier state would give back to this member what others have by now.
        self.note_losses(incarnation, is_whole == "0" || self.shares.is_ahead_of(shares));
        self.news.accounts |= self.accounts.is_behind(accounts);
        self.news.shares |= self.shares.is_behind(shares);
        Ok(())
    }

    /// Goes on with the shares, since Redis was told at `sent` that this process lives.
    fn extend_shares(&mut self, share_time: Duration, sent: i64, received: i64) {
        self.share_time = share_time;
        // Redis did not know this member, and others may have got its shares before it did again.
        if self.standing.joins && received >= self.until && !self.held.is_empty() {
            self.give_all_up();
        }
        self.until = sent.saturating_add(i64::try_from(self.share_time.as_nanos()).unwrap_or(i64::MAX));
        self.pool.shares_end_at(self.until);
        self.standing.joins = false;
    }

    /// Asks the coordinator what this member holds, if Redis has lost something.
    pub(super) fn note_losses(&mut self, incarnation: &str, has_lost_rows: bool) {
        if incarnation != self.incarnation {
            // All is read anew, and what was in Redis of shares may be old.
            if !self.incarnation.is_empty() || self.standing.asks.is_some() {
                self.ask();
            }
            self.said.at = i64::MIN;
            self.tell_given_up();
            self.reservations.last = None;
            incarnation.clone_into(&mut self.incarnation);
            self.accounts.reset();
            self.shares.reset();
        }
        if has_lost_rows && self.standing.asks.is_none() {
            self.ask();
        }
    }

    /// Plans to tell what is known of accounts that this process has given up without a word. Redis
    /// has lost who had them, so nobody else tells it.
    fn tell_given_up(&mut self) {
        for (account, used) in &mut self.used {
            let Some(state) = used.given_up.take() else { continue };
            let whole = self.definitions.get(account).map(Definition::units);
            let (grant, held) = (used.grant, state.held);
            // Of a part, it says nothing but which leases are held.
            let state = Some(state).filter(|state| Some(state.units) == whole);
            if held > 0 || state.is_some() {
                self.releases.tell(account, Release { grant, step: 0, units: 0, held, until: None, state });
            }
        }
    }

    /// Redis does not know this member any more. Either Redis has lost it: then it goes on with its
    /// shares, which nobody else can have before they end. Or it was taken for dead.
    fn rejoin(&mut self, now: i64) {
        self.standing.joins = true;
        self.reservations.last = None;
        if now < self.until {
            self.ask();
        } else {
            self.give_all_up();
        }
    }

    /// Has the coordinator say what this member holds.
    fn ask(&mut self) {
        // No two questions have the same number.
        self.standing.asks = Some(self.now().unsigned_abs());
    }

    /// Ends the use of all shares, which others may have by now.
    pub(super) fn give_all_up(&mut self) {
        for account in self.held.keys().cloned().collect::<Vec<_>>() {
            self.give_up(&account);
        }
        for (account, Release { grant, held, .. }) in self.releases.forget() {
            let used = self.used.entry(account).or_insert(UsedShare { grant, given_up: None });
            used.given_up.get_or_insert(AccountState { held, ..AccountState::unspent(0) });
        }
        self.shares.reset();
        self.shares.rows.clear();
    }
}
