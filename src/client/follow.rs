//! A whole sign-in: start, follow until somebody has decided, pick up, use.

use std::time::Duration;

use uuid::Uuid;

use super::answers::{LoginObject, Received};
use super::error::ClientError;
use super::{Client, PickUp, PickedUp, StartLogin, Started, Wait};
use crate::domain::clock::{Clock, Monotonic};
use crate::domain::login::LoginStatus;

/// How long one parked call waits: less than the 30 s that many a middle box allows.
const PARKED: Duration = Duration::from_secs(25);

/// How long a silent server is asked on after the login's own end.
const GRACE: Duration = Duration::from_secs(10);

/// The pause between two attempts while the server cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// How a sign-in ended.
pub enum Outcome {
    /// There is a session, and it has been read once.
    Session(Box<PickedUp>),
    /// There is none; the login says why.
    Ended(Box<Received<LoginObject>>),
}

impl Client {
    /// Signs one person in. `progress` sees the login at the start and at each change.
    pub async fn sign_in(
        &self,
        start: &StartLogin,
        idempotency_key: Uuid,
        progress: impl FnMut(&Received<LoginObject>),
    ) -> Result<Outcome, ClientError> {
        let started = self.start(start, idempotency_key).await?;
        self.follow(&started, progress).await
    }

    /// Follows a login that has been started, to its session or its end.
    pub async fn follow(
        &self,
        started: &Started,
        mut progress: impl FnMut(&Received<LoginObject>),
    ) -> Result<Outcome, ClientError> {
        progress(&started.login);
        let decided = self.decided(started, &mut progress).await?;
        if !decided.status.is(&LoginStatus::Approved) {
            return Ok(Outcome::Ended(Box::new(decided)));
        }
        let (login_id, token) = (decided.login_id, &started.login_token);
        match self.pick_up(login_id, token, None, None).await {
            Ok(PickUp::Done(picked_up)) => self.used(*picked_up).await,
            // Somebody was faster: the login has changed since it was read.
            Ok(PickUp::Undecided(login)) => Ok(Outcome::Ended(login)),
            Err(ClientError::Problem(problem))
                if matches!(problem.code.as_str(), "not_approved" | "identity_mismatch") =>
            {
                let login = self.login(login_id, token, None).await?;
                progress(&login);
                Ok(Outcome::Ended(Box::new(login)))
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a login up: cancels it, or ends the session that it has led to meanwhile.
    pub async fn abandon(&self, started: &Started) -> Result<(), ClientError> {
        let (login_id, token) = (started.login.login_id, &started.login_token);
        match self.cancel(login_id, token).await {
            Err(error) if error.code() == Some("already_picked_up") => {
                match self.pick_up(login_id, token, None, None).await? {
                    PickUp::Done(picked_up) => self.end_session(&picked_up.session_handle).await,
                    PickUp::Undecided(_) => Ok(()),
                }
            }
            outcome => outcome,
        }
    }

    /// Waits for the decision. A server that cannot be reached is asked on until the login must be over.
    async fn decided(
        &self,
        started: &Started,
        progress: &mut impl FnMut(&Received<LoginObject>),
    ) -> Result<Received<LoginObject>, ClientError> {
        let clock = self.transport.clock();
        let mut login = started.login.clone();
        let mut give_up = over_at(clock, &login);
        while login.is_open() {
            let wait = Wait { at_most: PARKED, known_version: Some(login.version) };
            let asked_at = clock.monotonic();
            match self.login(login.login_id, &started.login_token, Some(wait)).await {
                Ok(read) => {
                    give_up = over_at(clock, &read);
                    if read.version != login.version || read.status != login.status {
                        progress(&read);
                    } else if clock.monotonic().since(asked_at) < PAUSE {
                        // A node that drains answers parked calls at once.
                        clock.sleep(PAUSE).await;
                    }
                    login = read;
                }
                Err(error) if error.is_lost_answer() && clock.monotonic() < give_up => {
                    clock.sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(login)
    }

    /// Uses the new session once: that settles the pick-up, and reads what userinfo has brought since.
    async fn used(&self, mut picked_up: PickedUp) -> Result<Outcome, ClientError> {
        match self.session(&picked_up.session_handle, true).await {
            Ok(session) => picked_up.session = session,
            // The handle is worth more than a second reading.
            Err(error) if error.is_lost_answer() => {}
            Err(error) => return Err(error),
        }
        Ok(Outcome::Session(Box::new(picked_up)))
    }
}

fn over_at(clock: &dyn Clock, login: &LoginObject) -> Monotonic {
    clock.monotonic() + Duration::from_secs(login.expires_in) + GRACE
}
