//! How a caller whose token was challenged gets one that meets the challenge.

use std::sync::Arc;

use super::shared::SessionShared;
use super::state::NextStepUp;
use super::step_up::StepUp;
use crate::error::{Error, ErrorKind};
use crate::renewal;
use crate::send::Challenge;
use crate::token::AccessToken;

impl SessionShared {
    /// Returns a future that waits for a token that meets a challenge of the token of `generation`.
    /// Returns `None` if none can be had. The login begins when this is called; the future only
    /// waits.
    pub(super) fn step_up(
        self: &Arc<Self>,
        generation: u64,
        challenge: &Challenge,
    ) -> Option<impl Future<Output = Result<AccessToken, Error>> + use<>> {
        let begun = match self.begin_step_up(generation, challenge) {
            Ok(NextStepUp::Refuse(_)) => return None,
            Err(error) if error.kind() == ErrorKind::LoginUnavailable => return None,
            begun => begun,
        };
        let (shared, challenge) = (Arc::clone(self), challenge.clone());
        Some(async move {
            let mut next = begun?;
            loop {
                match next {
                    NextStepUp::Join(pending) => return pending.result().await.success(),
                    NextStepUp::After(other) => drop(other.result().await),
                    NextStepUp::Done => return shared.fresh().await,
                    NextStepUp::Refuse(error) => return Err(error.unwrap_or_else(Error::cannot_step_up)),
                    NextStepUp::Launch(_) => {}
                }
                next = shared.begin_step_up(generation, &challenge)?;
            }
        })
    }

    fn begin_step_up(self: &Arc<Self>, generation: u64, challenge: &Challenge) -> Result<NextStepUp, Error> {
        if renewal::is_within(self.id) {
            return Err(Error::cannot_step_up());
        }
        loop {
            let basis = self.cell.lock().authenticator();
            let authenticator = basis.as_ref().unwrap_or(&self.authenticator).step_up(challenge)?;
            let step_up = StepUp { challenge: challenge.clone(), authenticator };
            let runtime = self.runtime()?;
            // Another step-up may have ended meanwhile, on which this one has to follow.
            match self.cell.begin_step_up(generation, step_up, basis.as_ref())? {
                None => {}
                Some(NextStepUp::Launch(permit)) => return Ok(NextStepUp::Join(self.launch(permit, &runtime))),
                Some(next) => return Ok(next),
            }
        }
    }
}
