//! One sequence, played against a store and the model side by side.
//!
//! After each step the store must have told and stored what the model says. Calls that race must have gone as if one
//! after the other, in whatever order.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::mem::discriminant;
use std::time::Duration;

use futures_util::future::join_all;
use relais::domain::ids::LoginId;
use relais::domain::login::LoginStatus;
use relais::domain::time::Timestamp;

use super::driver::{self, Audit, Facts};
use super::ops::{Op, Stage};
use super::world::{Call, Outcome, View, World};
use crate::store::harness::Harness;

/// The arrows of the state table.
const ARROWS: [(LoginStatus, &[LoginStatus]); 3] = {
    use LoginStatus::{Approved, Cancelled, Denied, Expired, Failed, Pending, PickedUp, Starting};
    [
        (Starting, &[Pending, Failed, Cancelled]),
        (Pending, &[Approved, Denied, Expired, Failed, Cancelled]),
        (Approved, &[PickedUp, Expired, Failed, Cancelled]),
    ]
};

/// Plays `ops`; the error says what went against the model.
pub async fn play(harness: &Harness, start: Timestamp, ops: &[Op]) -> Result<(), String> {
    let mut world = World::default();
    world.many_nodes = !harness.raw.is_sqlite();
    let stage = Stage::new(harness, start);
    let mut play = Play { stage, world, known: BTreeSet::new(), seen: BTreeMap::new() };
    for (place, op) in ops.iter().enumerate() {
        play.step(op).await.map_err(|error| format!("step {place}, {op:?}: {error}"))?;
    }
    play.close().await.map_err(|error| format!("at the end: {error}"))
}

struct Play<'a> {
    stage: Stage<'a>,
    world: World,
    /// Every login that was ever to be started, also where it was refused.
    known: BTreeSet<LoginId>,
    seen: BTreeMap<LoginId, Facts>,
}

impl Play<'_> {
    async fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Pass(seconds) => {
                self.stage.now = self.stage.now + Duration::from_secs(u64::from(*seconds));
                Ok(())
            }
            Op::Sweep => self.sweep().await,
            Op::Race(ops) => {
                let calls: Vec<_> = ops.iter().filter_map(|op| self.stage.call(&self.world, op)).collect();
                self.race(&calls).await
            }
            op => match self.stage.call(&self.world, op) {
                Some(call) => self.race(&[call]).await,
                None => Ok(()),
            },
        }
    }

    async fn sweep(&mut self) -> Result<(), String> {
        let call = Call::Overdue { now: self.stage.now };
        let Outcome::Overdue { logins, .. } = self.world.apply(&call) else {
            return Err("the model does not know what is overdue".to_owned());
        };
        self.race(&[call]).await?;
        for call in self.stage.sweep(&self.world, &logins) {
            self.race(&[call]).await?;
        }
        Ok(())
    }

    /// Makes all calls at once, and looks for an order that explains what came of them.
    async fn race(&mut self, calls: &[Call]) -> Result<(), String> {
        for call in calls {
            if let Call::Start(new) = call {
                self.known.insert(new.login.login_id);
            }
        }
        let store = self.stage.harness.store.as_ref();
        let running = calls
            .iter()
            .map(|call| driver::execute(store, &self.stage.registration, &self.known, call.clone()));
        let mut told = Vec::with_capacity(calls.len());
        for outcome in join_all(running).await {
            told.push(outcome.map_err(|error| {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                format!("the store fails: {error}: {cause}")
            })?);
        }
        let facts = driver::look(&self.stage.harness.raw, &self.known).await;
        let audit = if calls.len() > 1 { Some(self.audit().await) } else { None };
        let stored = Stored { facts, audit };
        let strict = self.stage.harness.raw.is_sqlite();
        let explained = orders(calls.len())
            .iter()
            .find_map(|order| explain(&self.world, calls, order, &told, &stored, strict));
        let facts = stored.facts;
        let Some(world) = explained else {
            let mut straight = self.world.clone();
            let expected: Vec<_> = calls.iter().map(|call| straight.apply(call)).collect();
            return Err(format!(
                "no order explains it\n told {told:#?}\n model, in the order given {expected:#?}\n \
                 stored {facts:#?}\n model {:#?}",
                driver::expected(&straight)
            ));
        };
        self.world = world;
        for (login_id, now) in &facts {
            no_arrow_outside_the_table(self.seen.get(login_id), now, calls.len())?;
        }
        self.seen = facts;
        Ok(())
    }

    async fn audit(&self) -> Audit {
        driver::audit(&self.stage.harness.raw, &self.known).await
    }

    /// One audit record per transition that was won; handles and tokens open what they should.
    async fn close(&self) -> Result<(), String> {
        let harness = self.stage.harness;
        let (written, expected) = (self.audit().await, driver::expected_audit(&self.world));
        if written != expected {
            return Err(format!("the audit says {written:#?}, the model {expected:#?}"));
        }
        for (login_id, login) in &self.world.logins {
            let token = harness.token_of(*login_id);
            let found = harness.store.login_by_token(&token).await.map_err(|error| error.to_string())?;
            let found = found.map(|login| (login.login_id, driver::view(&login)));
            if found != Some((*login_id, login.view.clone())) {
                return Err(format!("the token opens {found:?}, the model has {:?}", login.view));
            }
        }
        driver::handles_open_what_they_should(&*harness.store, &self.world, |hash| self.stage.keyed(hash))
            .await
    }
}

/// What is found after a race.
struct Stored {
    facts: BTreeMap<LoginId, Facts>,
    /// Where there was a race: it tells orders apart that lead to the same facts.
    audit: Option<Audit>,
}

/// The world after `calls` in this order, if that explains what was told and what is stored.
fn explain(
    world: &World,
    calls: &[Call],
    order: &[usize],
    told: &[Outcome],
    stored: &Stored,
    strict: bool,
) -> Option<World> {
    let mut worlds = vec![world.clone()];
    let mut expected = Vec::with_capacity(order.len());
    for place in order {
        let mut next = worlds.last()?.clone();
        expected.push(next.apply(&calls[*place]));
        worlds.push(next);
    }
    let last = worlds.last()?;
    let same_audit = stored.audit.as_ref().is_none_or(|audit| *audit == driver::expected_audit(last));
    if driver::expected(last) != stored.facts || !same_audit {
        return None;
    }
    for (turn, place) in order.iter().enumerate() {
        let later = if strict { &[][..] } else { &worlds[turn + 1..] };
        if !fits(&expected[turn], &told[*place], &calls[*place], later) {
            return None;
        }
    }
    worlds.pop()
}

/// Whether the caller was told what the model says. Who loses writes nothing, and on PostgreSQL looks only then who
/// has won: it may see what has happened since.
fn fits(expected: &Outcome, told: &Outcome, call: &Call, later: &[World]) -> bool {
    let seen_later = |login_id: LoginId, view: &View| {
        later.iter().any(|world| world.logins.get(&login_id).is_some_and(|login| login.view == *view))
    };
    if expected == told {
        return true;
    }
    if discriminant(expected) != discriminant(told) {
        return false;
    }
    match told {
        Outcome::Lost(login_id, view)
        | Outcome::NotApproved(login_id, view)
        | Outcome::AlreadyPickedUp(login_id, view)
        | Outcome::Replay { login_id, view, .. } => seen_later(*login_id, view),
        // An attempt that was not recorded.
        Outcome::Claim(_) | Outcome::Renewal(_) if [expected, told].iter().any(|it| is_recorded(it)) => false,
        Outcome::AlreadyPending { .. }
        | Outcome::SessionLost(_)
        | Outcome::Claim(_)
        | Outcome::Renewal(_) => later.iter().any(|world| world.clone().apply(call) == *told),
        _ => false,
    }
}

/// Whether a caller is told that something was written about a refresh.
fn is_recorded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Claim("won") | Outcome::Renewal("committed"))
}

/// What must hold whatever the model says. `calls` transitions may have happened since `before`.
fn no_arrow_outside_the_table(before: Option<&Facts>, now: &Facts, calls: usize) -> Result<(), String> {
    let status = |facts: &Facts| LoginStatus::parse(&facts.status).ok_or("a status that nobody knows");
    let (from, to) = (before.map_or(Ok(LoginStatus::Starting), status)?, status(now)?);
    if !leads(from, to, calls) {
        return Err(format!("no arrow leads from {from:?} to {to:?}"));
    }
    if now.live_handles > 1 {
        return Err(format!("{} handles are alive", now.live_handles));
    }
    let over = now.session.as_ref().is_some_and(|session| session.0 == "ended");
    let without_session = to.is_terminal() && to != LoginStatus::PickedUp;
    if (over || without_session) && now.secrets & (2 | 4 | 8 | 16) != 0 {
        return Err(format!("secrets are left: {}", now.secrets));
    }
    let Some(before) = before else { return Ok(()) };
    let visible = |facts: &Facts| (facts.status.clone(), facts.reason.clone(), facts.hidden_cancelled);
    let changed = visible(before) != visible(now);
    if now.version < before.version || (changed && now.version == before.version) {
        return Err(format!("version {} after {}", now.version, before.version));
    }
    Ok(())
}

fn leads(from: LoginStatus, to: LoginStatus, steps: usize) -> bool {
    from == to
        || (steps > 0
            && ARROWS.iter().any(|(source, targets)| {
                *source == from && targets.iter().any(|next| leads(*next, to, steps - 1))
            }))
}

/// Every order of `length` things.
fn orders(length: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for place in 0..length {
        let shorter = std::mem::take(&mut orders);
        for order in shorter {
            for at in 0..=order.len() {
                let mut longer = order.clone();
                longer.insert(at, place);
                orders.push(longer);
            }
        }
    }
    orders
}
