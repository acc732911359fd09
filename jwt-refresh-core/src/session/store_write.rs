//! Writing to the store outside of a renewal: tokens that could not be saved when they were issued,
//! and what the user asked for.

use std::time::Duration;

use super::record::Record;
use super::shared::SessionShared;
use super::store_sync::SessionRenewal;
use crate::error::{Error, ErrorKind};
use crate::renewal::{IssuedTokens, Outcome};
use crate::store::{StoreError, StoreErrorKind};

/// How often an overwrite is tried while other processes keep writing, and the pause between.
const OVERWRITES: (u32, Duration) = (100, Duration::from_millis(10));

impl SessionShared {
    /// Tries up to 20 times to save tokens that could not be saved when they were issued, after a
    /// pause each time. Ends early if newer tokens have replaced them.
    pub(super) async fn retry_save(&self, issued: IssuedTokens) {
        for failures in 1..=20 {
            tokio::time::sleep(self.policy().pause(failures, None)).await;
            if !self.is_current(issued.sequence) {
                return;
            }
            let Some(epoch) = self.cell.lock().idle_epoch() else { continue };
            let saved = SessionRenewal { shared: self, epoch }.save_again(&issued).await;
            self.lease.release(epoch);
            match saved {
                None | Some(Outcome::Unsaved(_)) => {}
                Some(Outcome::LoggedOut) => {
                    self.log_out_locally();
                    return;
                }
                Some(_) => return,
            }
        }
    }

    /// Overwrites the entry with what the user asked for, a logout or tokens. Returns the record
    /// from before.
    pub(super) async fn overwrite(&self, record: impl Fn(u64) -> Record) -> Result<Option<Record>, Error> {
        let Some(store) = &self.store else { return Ok(None) };
        let failed = |error: StoreError| Error::new(ErrorKind::Store, "the token store failed").caused_by(error);
        let (attempts, pause) = OVERWRITES;
        for _ in 0..attempts {
            let found = store.load(self.policy()).await.map_err(failed)?;
            let record = record(found.record.as_ref().map_or(0, |record| record.sequence));
            match store.save(self.policy(), found.revision, &record).await {
                Ok(_) => return Ok(found.record),
                Err(error) if error.kind() == StoreErrorKind::Conflict => tokio::time::sleep(pause).await,
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(StoreError::new(StoreErrorKind::Unavailable, "others keep writing to the store")))
    }
}
