//! Access tokens whose life nobody has told, and those that never come back to life.

use std::sync::atomic::Ordering;
use std::time::Duration;

use relais::domain::clock::Clock as _;
use relais::domain::secret::{Secret, SessionHandle};
use relais::engine::exchange::{ExchangeError, Exchanged};
use relais::engine::ports::{Actor, ExchangeAnswer};
use relais::engine::session::HandleCall;

use super::world::World;
use crate::support::targets;

const REFUSED: ExchangeAnswer = ExchangeAnswer::Refused { of_subject_token: true };

fn exchanged() -> ExchangeAnswer {
    let access_token = Secret::new("exchanged-token");
    ExchangeAnswer::Exchanged { access_token, expires_in: None, x5t: None }
}

impl World {
    async fn exchange(&self, handle: &str) -> Result<Exchanged, ExchangeError> {
        let handle = SessionHandle(Secret::new(handle));
        let call = HandleCall { handle, certificate: None, back_end: None, by: Actor::engine() };
        let view = self.engine.use_session(&call, true).await.expect("an active session");
        self.engine.exchange(&view, &targets::target("dmp", "https://as.example/token"), None).await
    }

    fn answers(&self, answers: impl IntoIterator<Item = ExchangeAnswer>) {
        self.provider.exchange_answers.lock().expect("lock").extend(answers);
    }

    fn shown(&self) -> Vec<String> {
        self.provider.exchanged.lock().expect("lock").clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_unknown_age_that_is_refused_is_refreshed_once() {
    let world = World::new().await;
    world.provider.refreshes.store(true, Ordering::SeqCst);
    let (_, handle) = world.session().await;
    world.answers([REFUSED, exchanged()]);
    let token = world.exchange(&handle).await.expect("a token");
    assert_eq!(token.access_token.expose(), "exchanged-token");
    assert_eq!(world.shown(), ["access-token", "newer-access-token"]);
    // Nobody said how long it lives: for a minute, less the way to the target, it is used.
    world.clock.advance(Duration::from_secs(49));
    assert!(world.exchange(&handle).await.expect("a token").is_same(&token));
    world.clock.advance(Duration::from_secs(1));
    world.answers([REFUSED, exchanged()]);
    // The refresh brings what is known already: that is the answer then.
    assert!(matches!(world.exchange(&handle).await, Err(ExchangeError::Refused(_))));
    assert_eq!(world.shown().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_something_else_refreshes_nothing() {
    let world = World::new().await;
    world.provider.refreshes.store(true, Ordering::SeqCst);
    let (_, handle) = world.session().await;
    world.answers([ExchangeAnswer::Refused { of_subject_token: false }, exchanged()]);
    assert!(matches!(world.exchange(&handle).await, Err(ExchangeError::Refused(_))));
    assert_eq!(world.shown(), ["access-token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_refresh_token_a_dead_access_token_is_not_sent() {
    let world = World::new().await;
    *world.provider.access_expires_at.lock().expect("lock") =
        Some(world.clock.now() + Duration::from_mins(10));
    let (_, handle) = world.session().await;
    world.clock.advance(Duration::from_mins(10) - Duration::from_secs(30));
    world.answers([exchanged(), exchanged()]);
    world.exchange(&handle).await.expect("what is left of it does");
    world.clock.advance(Duration::from_mins(2));
    assert!(matches!(world.exchange(&handle).await, Err(ExchangeError::Refused(_))));
    assert_eq!(world.shown().len(), 1);
}
