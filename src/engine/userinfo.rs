//! Reading userinfo: as soon as an approval is committed, while the access token is fresh. Nothing fails without it;
//! `complete` stays false and the next use tries again. A use may have the access token refreshed for it, once: where it
//! has expired, or where the provider does not take it; not again where it takes the new one no better.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::Instrument as _;

use super::Engine;
use super::ports::{Approved, StoreError, Userinfo, UserinfoError};
use super::under_way::{UnderWay, Waiting};
use crate::domain::clock::Monotonic;
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::ids::GrantId;
use crate::domain::login::Login;
use crate::domain::names::RegistrationName;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::telemetry::error_chain::ErrorChain;

/// How long a pick-up or a use waits for userinfo.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a read that failed is not tried again.
const COOL_DOWN: Duration = Duration::from_secs(10);

/// How long a provider that refuses new access tokens is not asked for others on behalf of userinfo. A refresh that is due
/// by itself ends that sooner.
const HOPELESS: Duration = Duration::from_hours(1);

/// The reads under way, one per grant, and the ones that failed lately.
#[derive(Default)]
pub(super) struct Reads {
    under_way: UnderWay<GrantId>,
    failed: Mutex<HashMap<GrantId, Monotonic>>,
    /// New access tokens that userinfo has refused, and when.
    hopeless: Mutex<HashMap<GrantId, (Secret, Monotonic)>>,
}

/// What a read needs.
#[derive(Clone)]
struct Read {
    grant_id: GrantId,
    registration: RegistrationName,
    x5t: Option<String>,
    tokens: Tokens,
    claims: GrantClaims,
    /// The session that is used, where the access token may be refreshed.
    used: Option<Session>,
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
            used: None,
        });
    }

    /// The claims of a session that is looked at or, where `is_use`, used.
    pub(super) async fn claims_of_session(
        self: &Arc<Self>,
        session: &Session,
        is_use: bool,
        known: GrantClaims,
    ) -> Result<GrantClaims, StoreError> {
        let used = is_use.then(|| session.clone());
        self.completed(session.grant_id, &session.registration, session.x5t.as_deref(), known, used).await
    }

    /// The claims of a login that is picked up. That is no use: an access token that has expired is left so.
    pub(super) async fn claims_of_login(
        self: &Arc<Self>,
        login: &Login,
        known: GrantClaims,
    ) -> Result<GrantClaims, StoreError> {
        self.completed(login.grant_id, &login.registration, login.x5t.as_deref(), known, None).await
    }

    /// A grant's claims, completed by userinfo where it can be had within [`PATIENCE`]. `known` is what the grant
    /// said before.
    async fn completed(
        self: &Arc<Self>,
        grant_id: GrantId,
        registration: &RegistrationName,
        x5t: Option<&str>,
        known: GrantClaims,
        used: Option<Session>,
    ) -> Result<GrantClaims, StoreError> {
        if known.subject.complete {
            return Ok(known);
        }
        let mut done = match self.userinfo.under_way.join(grant_id) {
            Some(done) => done,
            None if self.userinfo.failed_since(grant_id, self.clock.monotonic()) => return Ok(known),
            None => {
                let Some(grant) = self.store.grant(grant_id).await? else { return Ok(known) };
                if let Some(claims) = grant.claims.filter(|claims| claims.subject.complete) {
                    // A read that ended just now.
                    return Ok(claims);
                }
                let now = self.clock.now();
                let readable = |tokens: &Tokens| used.is_some() || is_good(tokens, now);
                let Some(tokens) = grant.tokens.filter(readable) else { return Ok(known) };
                self.start_read(Read {
                    grant_id,
                    registration: registration.clone(),
                    x5t: x5t.map(str::to_owned),
                    tokens,
                    claims: known.clone(),
                    used,
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

    fn start_read(self: &Arc<Self>, read: Read) -> Waiting {
        let grant_id = read.grant_id;
        let (finished, done) = match self.userinfo.under_way.begin(grant_id) {
            Ok(begun) => begun,
            Err(earlier) => return earlier,
        };
        let engine = self.clone();
        let work = async move {
            if !engine.read_userinfo(read).await {
                engine.userinfo.note_failure(grant_id, engine.clock.monotonic());
            }
            engine.userinfo.under_way.end(grant_id, &finished);
        };
        self.tasks.spawn(work.instrument(tracing::Span::current()));
        done
    }

    async fn read_userinfo(self: &Arc<Self>, read: Read) -> bool {
        match self.try_userinfo(read).await {
            Ok(complete) => complete,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "userinfo was not read, or read and not written");
                false
            }
        }
    }

    async fn try_userinfo(self: &Arc<Self>, mut read: Read) -> Result<bool, StoreError> {
        let mut token = read.tokens.access_token.clone();
        if self.userinfo.is_hopeless(read.grant_id, &token, self.clock.monotonic()) {
            read.used = None;
        }
        if !is_good(&read.tokens, self.clock.now()) {
            let Some(session) = read.used.take() else { return Ok(false) };
            let Some(newer) = self.newer_token(&session, &token).await? else { return Ok(false) };
            token = newer;
        }
        let mut answer = self.ask_userinfo(&read, &token).await;
        if let (Err(UserinfoError::TokenRefused), Some(session)) = (&answer, read.used.take()) {
            let Some(newer) = self.newer_token(&session, &token).await? else { return Ok(false) };
            answer = self.ask_userinfo(&read, &newer).await;
            if matches!(answer, Err(UserinfoError::TokenRefused)) {
                self.userinfo.give_up_on(read.grant_id, newer, self.clock.monotonic());
            }
        }
        let Ok(userinfo) = answer else { return Ok(false) };
        self.store.complete_grant(read.grant_id, &userinfo.claims, &userinfo.document).await
    }

    async fn ask_userinfo(&self, read: &Read, token: &Secret) -> Result<Userinfo, UserinfoError> {
        self.providers.userinfo(&read.registration, read.x5t.as_deref(), token, &read.claims).await
    }

    /// Another access token than `known`, by a refresh of the session; `None` where there is none to be had now.
    async fn newer_token(
        self: &Arc<Self>,
        session: &Session,
        known: &Secret,
    ) -> Result<Option<Secret>, StoreError> {
        // An error says that the refresh is over as well.
        let _ = self.start_refresh(session).wait_for(|done| *done).await;
        let grant = self.store.grant(session.grant_id).await?;
        let token = grant.and_then(|grant| grant.tokens).map(|tokens| tokens.access_token);
        Ok(token.filter(|token| token.expose() != known.expose()))
    }
}

fn is_good(tokens: &Tokens, now: Timestamp) -> bool {
    tokens.access_expires_at.is_none_or(|at| now < at)
}

impl Reads {
    /// A new access token was refused like the one before: another one would be, too.
    fn give_up_on(&self, grant_id: GrantId, token: Secret, now: Monotonic) {
        let mut hopeless = self.hopeless.lock().unwrap_or_else(PoisonError::into_inner);
        hopeless.retain(|_, (_, at)| now.since(*at) < HOPELESS);
        hopeless.insert(grant_id, (token, now));
    }

    /// Whether this is the token after which no other was worth a refresh.
    fn is_hopeless(&self, grant_id: GrantId, token: &Secret, now: Monotonic) -> bool {
        let mut hopeless = self.hopeless.lock().unwrap_or_else(PoisonError::into_inner);
        hopeless.retain(|_, (_, at)| now.since(*at) < HOPELESS);
        hopeless.get(&grant_id).is_some_and(|(known, _)| known.expose() == token.expose())
    }

    fn failed_since(&self, grant_id: GrantId, now: Monotonic) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| now.since(*at) < COOL_DOWN);
        failed.contains_key(&grant_id)
    }

    fn note_failure(&self, grant_id: GrantId, now: Monotonic) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| now.since(*at) < COOL_DOWN);
        failed.insert(grant_id, now);
    }
}
