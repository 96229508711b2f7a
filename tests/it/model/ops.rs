//! What may happen, as it is generated, and how it becomes a call with everything that a caller draws.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use relais::crypto::random::SystemRandom;
use relais::crypto::ring::{KeyRing, KeyedHash, Purpose};
use relais::domain::grant::Tokens;
use relais::domain::ids::{GrantId, LoginId, NodeId, SessionId};
use relais::domain::login::{EndStatus, Login, LoginReason, LoginState, LoginStatus};
use relais::domain::names::RegistrationName;
use relais::domain::random::{uuid_v4, uuid_v7};
use relais::domain::session::SessionEndReason;
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    Acknowledge, Approve, ClaimRefresh, EndLogin, EndRefused, EndSession, IdempotencyClaim, NewLogin, Pace,
    PickUp, RecordUse, RefreshMiss, Renewal, SlotFate,
};

use super::driver::session_of;
use super::world::{Call, ModelLogin, World};
use crate::store::harness::{self, Harness};

/// One thing that happens. `login` counts back from the newest; where there is none, nothing happens.
#[derive(Clone, Debug)]
pub enum Op {
    Start {
        application: u8,
        replace: bool,
        key: Option<(u8, u8)>,
    },
    Acknowledge {
        login: u8,
    },
    End {
        login: u8,
        from: u8,
        status: u8,
        owner: Option<u8>,
        keep: bool,
        hidden: bool,
    },
    Cancel {
        login: u8,
    },
    CancelHidden {
        login: u8,
    },
    FreeSlotOfCancelled {
        login: u8,
    },
    Approve {
        login: u8,
    },
    SetPace {
        login: u8,
        owner: u8,
        slow: bool,
    },
    StillMine {
        owner: u8,
    },
    PickUp {
        login: u8,
    },
    Use {
        login: u8,
        older: bool,
        touch: bool,
    },
    Exercice {
        login: u8,
    },
    EndSession {
        login: u8,
        reason: u8,
    },
    /// A node that dies at once, or one that takes its time.
    ClaimRefresh {
        login: u8,
        dies: bool,
    },
    Renew {
        login: u8,
        known: bool,
    },
    MissRefresh {
        login: u8,
        unanswered: bool,
        wait: Option<u8>,
    },
    EndRefused {
        login: u8,
    },
    Adopt {
        node: u8,
    },
    Lease {
        node: u8,
        alive: bool,
    },
    /// Time passes: seconds.
    Pass(u32),
    /// The sweeper looks, and ends what is overdue.
    Sweep,
    Housekeep,
    /// All at once.
    Race(Vec<Self>),
}

fn login() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![6 => Just(0u8), 1 => 1u8..3]
}

fn one() -> BoxedStrategy<Op> {
    let key = proptest::option::weighted(0.3, (0u8..2, 0u8..2));
    prop_oneof![
        3 => (0u8..2, any::<bool>(), key)
            .prop_map(|(application, replace, key)| Op::Start { application, replace, key }),
        3 => login().prop_map(|login| Op::Acknowledge { login }),
        3 => (login(), 0u8..8, 0u8..4, proptest::option::weighted(0.3, 0u8..3), any::<bool>(), any::<bool>())
            .prop_map(|(login, from, status, owner, keep, hidden)| {
                Op::End { login, from, status, owner, keep, hidden }
            }),
        2 => login().prop_map(|login| Op::Cancel { login }),
        1 => login().prop_map(|login| Op::CancelHidden { login }),
        1 => login().prop_map(|login| Op::FreeSlotOfCancelled { login }),
        3 => login().prop_map(|login| Op::Approve { login }),
        1 => (login(), 0u8..3, any::<bool>()).prop_map(|(login, owner, slow)| Op::SetPace { login, owner, slow }),
        4 => login().prop_map(|login| Op::PickUp { login }),
        4 => (login(), proptest::bool::weighted(0.2), any::<bool>())
            .prop_map(|(login, older, touch)| Op::Use { login, older, touch }),
        1 => login().prop_map(|login| Op::Exercice { login }),
        2 => (login(), 0u8..7).prop_map(|(login, reason)| Op::EndSession { login, reason }),
        3 => (login(), any::<bool>()).prop_map(|(login, dies)| Op::ClaimRefresh { login, dies }),
        2 => (login(), any::<bool>()).prop_map(|(login, known)| Op::Renew { login, known }),
        2 => (login(), any::<bool>(), proptest::option::of(0u8..60))
            .prop_map(|(login, unanswered, wait)| Op::MissRefresh { login, unanswered, wait }),
        1 => login().prop_map(|login| Op::EndRefused { login }),
        1 => (0u8..3).prop_map(|node| Op::Adopt { node }),
    ]
    .boxed()
}

fn alone() -> BoxedStrategy<Op> {
    let pass = prop_oneof![
        Just(1u32),
        Just(35),
        Just(61),
        Just(130),
        Just(200),
        Just(400),
        Just(2_000),
        Just(15_000),
        Just(90_000)
    ];
    prop_oneof![
        16 => one(),
        3 => pass.prop_map(Op::Pass),
        1 => (0u8..3).prop_map(|owner| Op::StillMine { owner }),
        1 => (0u8..3, any::<bool>()).prop_map(|(node, alive)| Op::Lease { node, alive }),
        2 => Just(Op::Sweep),
        5 => proptest::collection::vec(one(), 2..=4).prop_map(Op::Race),
    ]
    .boxed()
}

/// The way to a picked-up login, which a sequence follows for a while, so that the later states are met often.
fn way(steps: usize) -> Vec<Op> {
    let way = [
        Op::Start { application: 0, replace: false, key: None },
        Op::Acknowledge { login: 0 },
        Op::Approve { login: 0 },
        Op::PickUp { login: 0 },
    ];
    way[..steps].to_vec()
}

/// A short life of one person's logins.
pub fn sequence() -> BoxedStrategy<Vec<Op>> {
    (0usize..=4, proptest::collection::vec(alone(), 2..=4))
        .prop_map(|(steps, then)| way(steps).into_iter().chain(then).collect())
        .boxed()
}

/// The same with housekeeping, whose reach is the whole database.
pub fn sequence_with_housekeeping() -> BoxedStrategy<Vec<Op>> {
    let days = prop_oneof![Just(Op::Pass(650)), Just(Op::Pass(90_000)), Just(Op::Pass(700_000))];
    let step = prop_oneof![3 => alone(), 1 => days, 2 => Just(Op::Housekeep)];
    (0usize..=4, proptest::collection::vec(step, 3..=8))
        .prop_map(|(steps, then)| way(steps).into_iter().chain(then).collect())
        .boxed()
}

/// Where a sequence is played: its person, its registration, its nodes, its time.
pub struct Stage<'a> {
    pub harness: &'a Harness,
    /// Unique, so that plays at the same time do not meet.
    pub name: String,
    pub registration: RegistrationName,
    pub nodes: [NodeId; 3],
    pub now: Timestamp,
}

impl<'a> Stage<'a> {
    pub fn new(harness: &'a Harness, now: Timestamp) -> Self {
        let name = uuid_v4(&SystemRandom).simple().to_string();
        let registration = format!("r-{name}").parse().expect("a name");
        let nodes = std::array::from_fn(|_| NodeId(uuid_v4(&SystemRandom)));
        Self { harness, name, registration, nodes, now }
    }

    /// The call that `op` is in `world`; `None` where there is nothing to call for.
    pub fn call(&self, world: &World, op: &Op) -> Option<Call> {
        let now = self.now;
        let pick = |back: u8| world.logins.iter().nth_back(usize::from(back));
        Some(match *op {
            Op::Start { application, replace, key } => {
                Call::Start(Box::new(self.start(application, replace, key)))
            }
            Op::Acknowledge { login } => Call::Acknowledge(Acknowledge {
                now,
                until: now + Duration::from_secs(120),
                slot_until: now + Duration::from_secs(180),
                owner: self.nodes[0],
                ..harness::acknowledge(*pick(login)?.0)
            }),
            Op::End { login, from, status, owner, keep, hidden } => {
                let owner = owner.map(|node| self.nodes[usize::from(node)]);
                Call::End(EndLogin { owner, ..self.end(*pick(login)?.0, from, status, keep, hidden) })
            }
            Op::Cancel { login } => Call::End(self.cancel(pick(login)?)),
            Op::CancelHidden { login } => {
                Call::CancelHidden { login_id: *pick(login)?.0, attempt: harness::attempt(), now }
            }
            Op::FreeSlotOfCancelled { login } => Call::FreeSlotOfCancelled { login_id: *pick(login)?.0 },
            Op::Approve { login } => Call::Approve(Box::new(Approve {
                now,
                until: now + Duration::from_secs(300),
                ..harness::approve(*pick(login)?.0)
            })),
            Op::SetPace { login, owner, slow } => Call::SetPace {
                login_id: *pick(login)?.0,
                owner: self.nodes[usize::from(owner)],
                pace: Pace {
                    interval: Duration::from_secs(10),
                    not_before: Some(now + Duration::from_secs(7)),
                    provider_slow: slow,
                },
            },
            Op::StillMine { owner } => Call::StillMine {
                owner: self.nodes[usize::from(owner)],
                due: world.logins.keys().copied().collect(),
            },
            Op::PickUp { login } => Call::PickUp(Box::new(self.pick_up(pick(login)?))),
            Op::Use { login, older, touch } => {
                let session = pick(login)?.1.session.as_ref()?;
                let handle = session.handles.iter().nth_back(usize::from(older))?.hash;
                Call::Use(RecordUse { handle, session_id: session.id, now, touch })
            }
            Op::Exercice { login } => Call::Exercice {
                session_id: session_of(world, *pick(login)?.0)?,
                attempt: harness::attempt(),
                now,
                exercice: uuid_v4(&SystemRandom).to_string(),
            },
            Op::EndSession { login, reason } => Call::EndSession(EndSession {
                session_id: session_of(world, *pick(login)?.0)?,
                attempt: harness::attempt(),
                now,
                reason: SessionEndReason::ALL[usize::from(reason)],
            }),
            Op::ClaimRefresh { login, dies } => Call::ClaimRefresh(ClaimRefresh {
                session_id: session_of(world, *pick(login)?.0)?,
                attempt: harness::attempt(),
                owner: self.nodes[usize::from(login)],
                now,
                generation: generation(pick(login)?.1)?,
                reserve: if dies { Duration::ZERO } else { Duration::from_hours(1) },
            }),
            Op::Renew { login, known } => Call::Renew(Box::new(Renewal {
                session_id: session_of(world, *pick(login)?.0)?,
                attempt: harness::attempt(),
                generation: generation(pick(login)?.1)?,
                now,
                tokens: Tokens {
                    refresh_expires_at: known.then_some(now + Duration::from_mins(20)),
                    ..harness::approve(*pick(login)?.0).tokens
                },
                due_at: known.then_some(now + Duration::from_mins(10)),
                moved: None,
            })),
            Op::MissRefresh { login, unanswered, wait } => Call::MissRefresh(RefreshMiss {
                session_id: session_of(world, *pick(login)?.0)?,
                attempt: pick(login)?.1.session.as_ref()?.refreshing?.0,
                generation: generation(pick(login)?.1)?,
                is_unanswered: unanswered,
                not_before: wait.map(|seconds| now + Duration::from_secs(u64::from(seconds))),
            }),
            Op::EndRefused { login } => Call::EndRefused(EndRefused {
                session_id: session_of(world, *pick(login)?.0)?,
                attempt: harness::attempt(),
                generation: generation(pick(login)?.1)?,
                now,
                reason: SessionEndReason::ReauthRequired,
                not_believed: false,
            }),
            Op::Adopt { node } => Call::Adopt { node: self.nodes[usize::from(node)] },
            Op::Lease { node, alive } => Call::Lease { node: self.nodes[usize::from(node)], alive },
            Op::Housekeep => Call::Housekeep { now },
            Op::Pass(_) | Op::Sweep | Op::Race(_) => return None,
        })
    }

    /// What a sweeper that found `overdue` calls for.
    pub fn sweep(&self, world: &World, overdue: &BTreeSet<LoginId>) -> Vec<Call> {
        let ends = overdue.iter().filter_map(|login_id| {
            let status = world.logins.get(login_id)?.view.state.status();
            let (from, ended, keep) = match status {
                LoginStatus::Starting => (0, 2, true),
                LoginStatus::Pending => (1, 1, false),
                _ => (2, 1, false),
            };
            Some(Call::End(self.end(*login_id, from, ended, keep, false)))
        });
        ends.collect()
    }

    fn start(&self, application: u8, replace: bool, key: Option<(u8, u8)>) -> NewLogin {
        let mut new = self.harness.new_login(&self.name);
        let login = &mut new.login;
        login.login_id = LoginId(uuid_v7(&SystemRandom, self.now));
        login.grant_id = GrantId(uuid_v7(&SystemRandom, self.now));
        login.application = if application == 0 { "logiciel" } else { "autre" }.parse().expect("a name");
        login.registration = self.registration.clone();
        login.created_at = self.now;
        login.owner = self.nodes[usize::from(application)];
        login.state = LoginState::Starting { until: self.now + Duration::from_secs(25) };
        let ring: &KeyRing = &self.harness.ring;
        new.token_hash = ring.hash(Purpose::LoginToken, format!("rlt_{}", login.login_id).as_bytes());
        new.slot_until = self.now + Duration::from_secs(145);
        new.replace = replace;
        new.idempotency = key.map(|(key, body)| IdempotencyClaim {
            key: ring
                .candidates(Purpose::IdempotencyKey, format!("{}/{application}/{key}", self.name).as_bytes()),
            body: ring.hash(Purpose::ReplayBody, &[body]),
            until: self.now + Duration::from_hours(24),
        });
        new
    }

    fn end(&self, login_id: LoginId, from: u8, status: u8, keep: bool, hidden: bool) -> EndLogin {
        let (status, reason) = match status {
            0 => (EndStatus::Denied, LoginReason::UserDenied),
            1 => (EndStatus::Expired, LoginReason::Expired),
            2 if hidden => (EndStatus::Failed, LoginReason::UserUnknown),
            2 => (EndStatus::Failed, LoginReason::OutcomeUnknown),
            _ => (EndStatus::Cancelled, LoginReason::Cancelled),
        };
        let longest = self.now + Duration::from_secs(120);
        EndLogin {
            login_id,
            attempt: harness::attempt(),
            from: FROM[usize::from(from)],
            owner: None,
            now: self.now,
            status,
            reason,
            slot: if keep { SlotFate::KeepUntil(longest) } else { SlotFate::Free },
            hidden_until: (hidden && reason == LoginReason::UserUnknown).then_some(longest),
        }
    }

    /// As a DELETE does it: a starting login keeps the slot, others free it.
    fn cancel(&self, (login_id, login): (&LoginId, &ModelLogin)) -> EndLogin {
        let starting = login.view.state.status() == LoginStatus::Starting;
        self.end(*login_id, if starting { 0 } else { 3 }, 3, starting, false)
    }

    fn pick_up(&self, (login_id, login): (&LoginId, &ModelLogin)) -> PickUp {
        let blank = self.harness.new_login(&self.name).login;
        let login = Login {
            login_id: *login_id,
            grant_id: login.grant_id,
            registration: self.registration.clone(),
            ..blank
        };
        let handle = format!("rsh_{}", uuid_v4(&SystemRandom));
        let mut pick_up = self.harness.pick_up(&login, &handle);
        let session = &mut pick_up.session;
        session.session_id = SessionId(uuid_v7(&SystemRandom, self.now));
        session.created_at = self.now;
        session.last_used_at = self.now;
        session.expires_at = self.now + Duration::from_hours(4);
        session.grant_expires_at = Some(self.now + Duration::from_hours(3));
        pick_up.now = self.now;
        pick_up.repeatable_until = self.now + Duration::from_secs(60);
        pick_up
    }

    /// The hash of a handle with the key that made it.
    pub fn keyed(&self, hash: [u8; 32]) -> KeyedHash {
        KeyedHash { key_id: self.harness.ring.active_id().to_owned(), hash }
    }
}

/// Of the tokens that a caller knows.
fn generation(login: &ModelLogin) -> Option<u32> {
    Some(login.session.as_ref()?.view.refresh.generation)
}

/// From which states an end may be asked for: those of the table, and others that must not matter.
const FROM: [&[LoginStatus]; 8] = [
    &[LoginStatus::Starting],
    &[LoginStatus::Pending],
    &[LoginStatus::Approved],
    &[LoginStatus::Pending, LoginStatus::Approved],
    &[LoginStatus::Starting, LoginStatus::Pending],
    &LoginStatus::ALL,
    &[LoginStatus::PickedUp, LoginStatus::Denied, LoginStatus::Expired],
    &[LoginStatus::Starting, LoginStatus::Pending, LoginStatus::Approved],
];
