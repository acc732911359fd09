//! How much of quotas a process may spend: what it has told Redis, which counts as spent if the
//! process dies.

use super::{AT_ONCE, MemberTask};
use crate::pool::fleet::messages::{Reservation, reservations_word};
use crate::pool::fleet::scripts::RESERVE;
use crate::store::StoreError;

impl MemberTask {
    /// Tells Redis how much may be spent if nothing more is heard from here, and lets the local
    /// pool spend it.
    pub(super) async fn reserve(&mut self) -> Result<(), StoreError> {
        while !self.incarnation.is_empty() && (self.reservations.last.is_none() || !self.reservations.short.is_empty())
        {
            let last = self.reservations.last.take();
            if last.is_none() {
                self.reservations.short.extend(self.held.keys().cloned());
            }
            let at_once = if last.is_none() { usize::MAX } else { AT_ONCE };
            let accounts: Vec<String> = self.reservations.short.iter().take(at_once).cloned().collect();
            let told: Vec<_> = accounts.iter().filter_map(|account| self.reservation(account)).collect();
            self.reservations.last = self.tell_reservations(last, &told).await?;
            if self.reservations.last.is_some() {
                for (account, _) in &told {
                    self.pool.confirm_reserve(account);
                }
                self.reservations.short.retain(|account| accounts.binary_search(account).is_err());
            }
        }
        Ok(())
    }

    /// Returns an account and what is to be told of its quotas, if it has any.
    fn reservation(&self, account: &str) -> Option<(String, String)> {
        let grant = self.held.get(account)?.grant;
        let (out, _) = self.offsets();
        let state = self.pool.reserve(account, self.share_time, out)?;
        Some((account.to_owned(), serde_json::to_string(&Reservation { grant, state }).unwrap_or_default()))
    }

    /// Tells Redis, after the word `last`. Returns the word that Redis has now, or `None` if it has
    /// lost that one.
    async fn tell_reservations(
        &mut self,
        last: Option<String>,
        told: &[(String, String)],
    ) -> Result<Option<String>, StoreError> {
        if last.is_some() && told.is_empty() {
            return Ok(last);
        }
        self.reservations.words += 1;
        let word = reservations_word(self.reservations.words, &self.incarnation);
        let key = self.place.keys.reservations_of(&self.name);
        let mut arguments = vec![word.clone(), last.unwrap_or_default()];
        arguments.extend(told.iter().flat_map(|(account, told)| [account.clone(), told.clone()]));
        let has_told: i64 = self.link.run(&RESERVE, &[&key], &arguments).await?;
        Ok((has_told == 1).then_some(word))
    }
}
