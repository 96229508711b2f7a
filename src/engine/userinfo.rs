//! Reading userinfo: as soon as an approval is committed, while the access token is fresh. Nothing fails without it;
//! `complete` stays false and the next use tries again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument as _;

use super::Engine;
use super::ports::{Approved, StoreError};
use crate::domain::clock::Monotonic;
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::ids::GrantId;
use crate::domain::login::Login;
use crate::domain::names::RegistrationName;
use crate::telemetry::error_chain::ErrorChain;

/// How long a pick-up or a use waits for userinfo.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a read that failed is not tried again.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// The reads under way, one per grant, and the ones that failed lately.
#[derive(Default)]
pub(super) struct Reads {
    under_way: Mutex<HashMap<GrantId, watch::Receiver<bool>>>,
    failed: Mutex<HashMap<GrantId, Monotonic>>,
}

/// What a read needs.
#[derive(Clone)]
struct Read {
    grant_id: GrantId,
    registration: RegistrationName,
    x5t: Option<String>,
    tokens: Tokens,
    claims: GrantClaims,
}

impl Engine {
    /// Starts a read that nobody waits for.
    pub(super) fn read_userinfo_in_background(self: &Arc<Self>, login: &Login, approved: Approved) {
        let _ = self.start_read(Read {
            grant_id: login.grant_id,
            registration: login.registration.clone(),
            x5t: login.x5t.clone(),
            tokens: approved.tokens,
            claims: approved.claims,
        });
    }

    /// The grant's claims, completed by userinfo where it can be had within [`PATIENCE`]. `known` is what the grant
    /// said before.
    pub(super) async fn complete_claims(
        self: &Arc<Self>,
        grant_id: GrantId,
        registration: &RegistrationName,
        x5t: Option<&str>,
        known: GrantClaims,
    ) -> Result<GrantClaims, StoreError> {
        if known.subject.complete {
            return Ok(known);
        }
        let mut done = match self.userinfo.join(grant_id) {
            Some(done) => done,
            None if self.userinfo.failed_since(grant_id, self.clock.monotonic()) => return Ok(known),
            None => {
                let Some(grant) = self.store.grant(grant_id).await? else { return Ok(known) };
                if let Some(claims) = grant.claims.filter(|claims| claims.subject.complete) {
                    // A read that ended just now.
                    return Ok(claims);
                }
                let now = self.clock.now();
                let alive = |tokens: &Tokens| tokens.access_expires_at.is_none_or(|at| now < at);
                let Some(tokens) = grant.tokens.filter(alive) else { return Ok(known) };
                self.start_read(Read {
                    grant_id,
                    registration: registration.clone(),
                    x5t: x5t.map(str::to_owned),
                    tokens,
                    claims: known.clone(),
                })
            }
        };
        let patience = self.clock.sleep(PATIENCE);
        tokio::select! {
            _ = done.wait_for(|done| *done) => {}
            () = patience => {}
        }
        let grant = self.store.grant(grant_id).await?;
        Ok(grant.and_then(|grant| grant.claims).unwrap_or(known))
    }

    fn start_read(self: &Arc<Self>, read: Read) -> watch::Receiver<bool> {
        let (finished, done) = watch::channel(false);
        let mut under_way = self.userinfo.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = under_way.get(&read.grant_id) {
            return earlier.clone();
        }
        under_way.insert(read.grant_id, done.clone());
        drop(under_way);
        let engine = self.clone();
        let work = async move {
            let grant_id = read.grant_id;
            let complete = engine.read_userinfo(read).await;
            engine.userinfo.finish(grant_id, complete, engine.clock.monotonic());
            finished.send_replace(true);
        };
        self.tasks.spawn(work.instrument(tracing::Span::current()));
        done
    }

    async fn read_userinfo(&self, read: Read) -> bool {
        let answer = self
            .providers
            .userinfo(&read.registration, read.x5t.as_deref(), &read.tokens.access_token, &read.claims)
            .await;
        let Ok(userinfo) = answer else { return false };
        match self.store.complete_grant(read.grant_id, &userinfo.claims, &userinfo.document).await {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "userinfo was read and not written");
                false
            }
        }
    }
}

impl Reads {
    fn join(&self, grant_id: GrantId) -> Option<watch::Receiver<bool>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).get(&grant_id).cloned()
    }

    fn failed_since(&self, grant_id: GrantId, now: Monotonic) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| now.since(*at) < COOL_DOWN);
        failed.contains_key(&grant_id)
    }

    fn finish(&self, grant_id: GrantId, complete: bool, now: Monotonic) {
        if !complete {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.retain(|_, at| now.since(*at) < COOL_DOWN);
            failed.insert(grant_id, now);
        }
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&grant_id);
    }
}
