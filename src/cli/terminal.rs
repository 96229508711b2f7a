//! A sign-in in the terminal: it goes on while somebody looks on, and is given up when they interrupt it.
//!
//! The verbs `login` and `demo` drive it; what is seen of it is drawn by [`Screen`].

mod screen;

use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

pub use screen::{Screen, big};

use crate::client::{Client, ClientError, LoginObject, Outcome, Received, StartLogin, Started};
use crate::domain::clock::{Clock, Monotonic};

/// How long giving a login up may take before the terminal is given back.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(15);

/// Sees a sign-in as it goes on.
pub trait Observer: Send {
    /// The login has been started, or has changed.
    fn login(&mut self, login: &Received<LoginObject>);

    /// A second has passed while somebody decides.
    fn tick(&mut self, seconds_left: u64) {
        let _ = seconds_left;
    }

    /// Relais is being asked to start, or to cancel: there is nothing new to show until it answers.
    fn asking(&mut self, what: Asking) {
        let _ = what;
    }
}

/// What Relais is being asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// To start a login.
    Start,
    /// To cancel it.
    Cancel,
}

/// How a sign-in in the terminal ended.
pub enum SignIn {
    /// As sign-ins end.
    Done(Outcome),
    /// Interrupted: the login, where one had been started, is cancelled, and this is how it stands.
    Interrupted(Option<Box<Received<LoginObject>>>),
}

/// Signs one person in while `observer` looks on; `interrupt` (Ctrl-C) cancels the login first.
///
/// # Errors
/// [`ClientError`]: the start was refused, or the server stayed silent.
pub async fn sign_in(
    client: &Client,
    start: &StartLogin,
    idempotency_key: Uuid,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
    interrupt: impl Future<Output = ()> + Send,
) -> Result<SignIn, ClientError> {
    tokio::pin!(interrupt);
    observer.asking(Asking::Start);
    let starting = client.start(start, idempotency_key);
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started?,
        () = &mut interrupt => {
            // The request may be on its way to a phone already: only its answer says what to cancel.
            observer.asking(Asking::Cancel);
            return match tokio::time::timeout(ABANDON_TIMEOUT, starting).await {
                Ok(started) => abandoned(client, &started?).await,
                Err(_) => Ok(SignIn::Interrupted(None)),
            };
        }
    };
    let (changes, mut seen) = mpsc::unbounded_channel();
    let following = client.follow(&started, move |login| {
        // Nobody listens any more once the sign-in is being given up.
        let _ = changes.send(login.clone());
    });
    tokio::pin!(following);
    let mut ends_at = None;
    loop {
        tokio::select! {
            biased;
            Some(login) = seen.recv() => {
                ends_at = login.is_open().then(|| clock.monotonic() + Duration::from_secs(login.expires_in));
                observer.login(&login);
            }
            outcome = &mut following => {
                while let Ok(login) = seen.try_recv() {
                    observer.login(&login);
                }
                return outcome.map(SignIn::Done);
            }
            () = &mut interrupt => {
                observer.asking(Asking::Cancel);
                return abandoned(client, &started).await;
            }
            () = clock.sleep(Duration::from_secs(1)) => {
                if let Some(ends_at) = ends_at {
                    observer.tick(seconds_until(ends_at, clock.monotonic()));
                }
            }
        }
    }
}

async fn abandoned(client: &Client, started: &Started) -> Result<SignIn, ClientError> {
    let giving_up = async {
        client.abandon(started).await?;
        client.login(started.login.login_id, &started.login_token, None).await
    };
    match tokio::time::timeout(ABANDON_TIMEOUT, giving_up).await {
        Ok(login) => Ok(SignIn::Interrupted(Some(Box::new(login?)))),
        Err(_) => Ok(SignIn::Interrupted(None)),
    }
}

fn seconds_until(end: Monotonic, now: Monotonic) -> u64 {
    end.since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
