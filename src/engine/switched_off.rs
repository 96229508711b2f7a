//! The sessions of what an operator has switched off end, whether or not anybody uses them.

use super::Engine;
use super::begin_login::ENGINE;
use super::directory::Directory;
use super::ports::{StoreError, SwitchedOff};
use crate::domain::session::SessionEndReason;
use crate::telemetry::error_chain::ErrorChain;

/// How many sessions one statement finds.
const BATCH: u32 = 200;

/// How often at most it is asked in one go: upkeep comes again.
const ROUNDS: usize = 500;

impl Engine {
    /// Ends them: at the start, when the configuration is taken over, and at each housekeeping, since a pick-up may have been
    /// under way when somebody turned the switch.
    pub(super) async fn end_switched_off(&self) {
        let directory = self.directory();
        for what in switched_off(&directory) {
            if let Err(error) = self.end_all_of(&what).await {
                tracing::warn!(error = %ErrorChain(&error), "sessions of what is switched off live on for a minute");
            }
        }
    }

    async fn end_all_of(&self, what: &SwitchedOff) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let sessions = self.store.switched_off(what.clone(), BATCH).await?;
            let mut ended = 0usize;
            // One that cannot be ended must not keep the others from it.
            for session_id in sessions {
                match self.end_session_for(session_id, SessionEndReason::Revoked, &ENGINE).await {
                    Ok(_) => ended += 1,
                    Err(error) => {
                        tracing::error!(
                            error = %ErrorChain(&error),
                            session.id = %session_id,
                            "a session of what is switched off could not be ended"
                        );
                    }
                }
            }
            if ended == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// What stands in the configuration with its switch off, or its provider's. What does not stand there at all may be
/// another node's that has a newer one.
fn switched_off(directory: &Directory) -> Vec<SwitchedOff> {
    let applications = directory
        .applications()
        .filter(|application| !application.enabled)
        .map(|it| SwitchedOff::Application(it.tenant.clone(), it.name.clone()));
    let registrations = directory
        .registrations()
        .filter(|(registration, provider)| !registration.enabled || !provider.enabled)
        .map(|(registration, _)| SwitchedOff::Registration(registration.name.clone()));
    applications.chain(registrations).collect()
}
