//! The model: the state table of the design as a pure function, for the logins of one person.
//!
//! It knows nothing of databases. A call is applied, and the model says what the caller must be told and what must
//! then be stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relais::domain::ids::{Attempt, GrantId, LoginId, NodeId, SessionId};
use relais::domain::login::{EndStatus, Hidden, LoginReason, LoginState, LoginStatus, hidden_delay};
use relais::domain::session::{MOST_UNANSWERED, RefreshState, SessionEndReason, SessionState};
use relais::domain::time::Timestamp;
use relais::engine::ports::{
    Acknowledge, Approve, ClaimRefresh, EndLogin, EndRefused, EndSession, NewLogin, Pace, PickUp, RecordUse,
    RefreshMiss, Renewal, SlotFate, UseOutcome,
};

/// How long an ended login stays readable, and its hint with it.
const READABLE: Duration = Duration::from_mins(10);

/// How far the stored time of the last use may lag behind.
const LAG: Duration = Duration::from_secs(30);

/// How long what has ended is kept.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// One call of the port, with everything that its caller draws.
#[derive(Clone)]
pub enum Call {
    Start(Box<NewLogin>),
    Acknowledge(Acknowledge),
    End(EndLogin),
    CancelHidden {
        login_id: LoginId,
        attempt: Attempt,
        now: Timestamp,
    },
    FreeSlotOfCancelled {
        login_id: LoginId,
    },
    Approve(Box<Approve>),
    SetPace {
        login_id: LoginId,
        owner: NodeId,
        pace: Pace,
    },
    StillMine {
        owner: NodeId,
        due: Vec<LoginId>,
    },
    PickUp(Box<PickUp>),
    Use(RecordUse),
    Exercice {
        session_id: SessionId,
        attempt: Attempt,
        now: Timestamp,
        exercice: String,
    },
    EndSession(EndSession),
    /// With no time reserved it is the attempt of a node that dies at once.
    ClaimRefresh(ClaimRefresh),
    Renew(Box<Renewal>),
    MissRefresh(RefreshMiss),
    EndRefused(EndRefused),
    Adopt {
        node: NodeId,
    },
    Lease {
        node: NodeId,
        alive: bool,
    },
    Overdue {
        now: Timestamp,
    },
    Housekeep {
        now: Timestamp,
    },
}

/// A login as its callers see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    pub state: LoginState,
    pub version: u32,
    pub attempt: Attempt,
    pub owner: NodeId,
    pub hint: bool,
}

/// A session as its callers see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionView {
    pub state: SessionState,
    pub version: u32,
    pub attempt: Attempt,
    pub exercice: Option<String>,
    pub refresh: RefreshState,
}

/// What a caller is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Started { replaced: Option<LoginId> },
    Replay { login_id: LoginId, view: View, body: [u8; 32] },
    AlreadyPending { until: Timestamp, replaceable: bool },
    Won(View),
    Lost(LoginId, View),
    NotFound,
    Paced(Option<View>),
    Mine(BTreeSet<LoginId>),
    First(SessionId),
    Repeated(SessionId),
    NotApproved(LoginId, View),
    AlreadyPickedUp(LoginId, View),
    Used(UseOutcome),
    SessionWon(SessionView),
    SessionLost(SessionView),
    Claim(&'static str),
    Renewal(&'static str),
    Adopted { pending: BTreeSet<LoginId>, starting: BTreeSet<LoginId> },
    Overdue { logins: BTreeSet<LoginId>, sessions: BTreeMap<SessionId, &'static str> },
    Done,
}

/// An audit record: event, reason, attempt.
pub type Record = (&'static str, Option<&'static str>, Attempt);

/// Who holds the person slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub holder: LoginId,
    pub until: Timestamp,
}

#[derive(Clone)]
pub struct ModelLogin {
    pub grant_id: GrantId,
    pub application: String,
    pub view: View,
    pub hint_until: Option<Timestamp>,
    /// The `auth_req_id` is in the grant.
    pub request: bool,
    /// Tokens and claims are in the grant.
    pub tokens: bool,
    pub session: Option<ModelSession>,
    pub audit: Vec<Record>,
}

#[derive(Clone)]
pub struct ModelSession {
    pub id: SessionId,
    pub view: SessionView,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
    pub idle: Duration,
    pub grant_expires_at: Option<Timestamp>,
    pub handles: Vec<Handle>,
    /// Whose refresh is recorded, and whether its time is reserved for longer than any test lasts.
    pub refreshing: Option<(Attempt, bool)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    pub hash: [u8; 32],
    pub used: bool,
    pub dead: bool,
}

/// Everything there is about one person.
#[derive(Clone, Default)]
pub struct World {
    pub logins: BTreeMap<LoginId, ModelLogin>,
    pub slot: Option<Slot>,
    /// The audit of logins that housekeeping has deleted.
    pub buried: BTreeMap<LoginId, Vec<Record>>,
    /// By key: login, body, until.
    keys: BTreeMap<[u8; 32], (LoginId, [u8; 32], Timestamp)>,
    alive: BTreeSet<NodeId>,
    /// Whether other nodes may be alive: not on SQLite, whose serve lock proves the contrary.
    pub many_nodes: bool,
}

impl World {
    /// Carries `call` out.
    pub fn apply(&mut self, call: &Call) -> Outcome {
        match call {
            Call::Start(new) => self.start(new),
            Call::Acknowledge(ack) => self.acknowledge(ack),
            Call::End(end) => self.end(end),
            Call::CancelHidden { login_id, attempt, now } => {
                self.cancel_hidden(*login_id, *attempt, *now, LoginReason::Cancelled)
            }
            Call::FreeSlotOfCancelled { login_id } => self.free_slot_of_cancelled(*login_id),
            Call::Approve(approve) => self.approve(approve),
            Call::SetPace { login_id, owner, pace } => self.set_pace(*login_id, *owner, *pace),
            Call::StillMine { owner, due } => Outcome::Mine(self.mine(*owner, due)),
            Call::PickUp(pick_up) => self.pick_up(pick_up),
            Call::Use(used) => Outcome::Used(self.record_use(used)),
            Call::Exercice { session_id, attempt, exercice, .. } => {
                self.exercice(*session_id, *attempt, exercice)
            }
            Call::EndSession(end) => self.end_session(end),
            Call::ClaimRefresh(claim) => Outcome::Claim(self.claim_refresh(claim)),
            Call::Renew(renewal) => Outcome::Renewal(self.renew(renewal)),
            Call::MissRefresh(miss) => self.miss_refresh(miss),
            Call::EndRefused(end) => self.end_refused(end),
            Call::Adopt { node } => self.adopt(*node),
            Call::Lease { node, alive } => {
                if *alive {
                    self.alive.insert(*node)
                } else {
                    self.alive.remove(node)
                };
                Outcome::Done
            }
            Call::Overdue { now } => self.overdue(*now),
            Call::Housekeep { now } => self.housekeep(*now),
        }
    }

    fn start(&mut self, new: &NewLogin) -> Outcome {
        let (login, now) = (&new.login, new.login.created_at);
        let key = new.idempotency.as_ref().map(|claim| claim.key[0].hash);
        if let Some((login_id, body, until)) = key.and_then(|key| self.keys.get(&key)).copied()
            && until > now
        {
            return Outcome::Replay { login_id, view: self.logins[&login_id].view.clone(), body };
        }
        let mut replaced = None;
        if let Some(slot) = self.slot.filter(|slot| slot.until > now) {
            let holder = &self.logins[&slot.holder];
            let deadline = match holder.view.state {
                LoginState::Pending { until, .. } => Some(until),
                // Shown as pending.
                LoginState::Ended { hidden: Some(hidden), .. }
                    if hidden.cancelled.is_none() && hidden.until > now =>
                {
                    Some(hidden.until - hidden_delay(holder.grant_id))
                }
                _ => None,
            };
            let replaceable = deadline.is_some() && holder.application == login.application.as_str();
            if !(replaceable && new.replace) {
                return Outcome::AlreadyPending { until: deadline.unwrap_or(slot.until), replaceable };
            }
            let superseded = EndLogin {
                login_id: slot.holder,
                attempt: login.attempt,
                from: &[LoginStatus::Pending],
                owner: None,
                now,
                status: EndStatus::Cancelled,
                reason: LoginReason::Superseded,
                slot: SlotFate::Free,
                hidden_until: None,
            };
            let won = matches!(self.end(&superseded), Outcome::Won(_))
                || matches!(
                    self.cancel_hidden(slot.holder, login.attempt, now, LoginReason::Superseded),
                    Outcome::Won(_)
                );
            assert!(won, "it was pending, or shown so");
            replaced = Some(slot.holder);
        }
        self.slot = Some(Slot { holder: login.login_id, until: new.slot_until });
        if let (Some(key), Some(claim)) = (key, &new.idempotency) {
            self.keys.insert(key, (login.login_id, claim.body.hash, claim.until));
        }
        let view = View {
            state: login.state.clone(),
            version: 1,
            attempt: login.attempt,
            owner: login.owner,
            hint: true,
        };
        let started = ModelLogin {
            grant_id: login.grant_id,
            application: login.application.to_string(),
            view,
            hint_until: None,
            request: false,
            tokens: false,
            session: None,
            audit: vec![("login.started", None, login.attempt)],
        };
        self.logins.insert(login.login_id, started);
        Outcome::Started { replaced }
    }

    fn acknowledge(&mut self, ack: &Acknowledge) -> Outcome {
        let Some(login) = self.logins.get_mut(&ack.login_id) else { return Outcome::NotFound };
        let holds = self.slot.is_some_and(|slot| slot.holder == ack.login_id);
        match login.view.state.status() {
            LoginStatus::Starting => {
                login.request = true;
                login.view.owner = ack.owner;
                if holds {
                    self.slot = Some(Slot { holder: ack.login_id, until: ack.slot_until });
                }
                let state = LoginState::Pending {
                    until: ack.until,
                    interval: ack.interval,
                    not_before: None,
                    provider_slow: false,
                };
                login.go(state, ack.attempt, ("login.acknowledged", None))
            }
            LoginStatus::Cancelled => {
                if holds {
                    self.slot = None;
                    login.audit.push(("login.acknowledged_late", None, ack.attempt));
                }
                Outcome::Lost(ack.login_id, login.view.clone())
            }
            _ => Outcome::Lost(ack.login_id, login.view.clone()),
        }
    }

    fn end(&mut self, end: &EndLogin) -> Outcome {
        let Some(login) = self.logins.get_mut(&end.login_id) else { return Outcome::NotFound };
        let from = login.view.state.status();
        let owned = end.owner.is_none_or(|owner| owner == login.view.owner);
        if !owned || !end.from.contains(&from) || !ARROWS.contains(&(from, end.status.status())) {
            return Outcome::Lost(end.login_id, login.view.clone());
        }
        (login.request, login.tokens) = (false, false);
        login.hint_until = Some(end.hidden_until.unwrap_or(end.now) + READABLE);
        if self.slot.is_some_and(|slot| slot.holder == end.login_id) {
            self.slot = match end.slot {
                SlotFate::Free => None,
                SlotFate::KeepUntil(until) => Some(Slot { holder: end.login_id, until }),
            };
        }
        let event = match end.status {
            EndStatus::Denied => "login.denied",
            EndStatus::Expired => "login.expired",
            EndStatus::Failed => "login.failed",
            EndStatus::Cancelled => "login.cancelled",
        };
        let hidden = end.hidden_until.map(|until| Hidden { until, cancelled: None });
        let state = LoginState::Ended { status: end.status, reason: end.reason, at: end.now, hidden };
        login.go(state, end.attempt, (event, Some(end.reason.as_str())))
    }

    /// What is shown as pending ends as if it were.
    fn cancel_hidden(
        &mut self,
        login_id: LoginId,
        attempt: Attempt,
        now: Timestamp,
        why: LoginReason,
    ) -> Outcome {
        let Some(login) = self.logins.get_mut(&login_id) else { return Outcome::NotFound };
        match login.view.state.clone() {
            LoginState::Ended { status: EndStatus::Failed, reason, at, hidden: Some(hidden) }
                if hidden.until > now && hidden.cancelled.is_none() =>
            {
                login.hint_until = Some(now + READABLE);
                self.slot = self.slot.filter(|slot| slot.holder != login_id);
                let hidden = Some(Hidden { cancelled: Some((now, why)), ..hidden });
                let state = LoginState::Ended { status: EndStatus::Failed, reason, at, hidden };
                login.go(state, attempt, ("login.cancelled", Some(why.as_str())))
            }
            _ => Outcome::Lost(login_id, login.view.clone()),
        }
    }

    fn free_slot_of_cancelled(&mut self, login_id: LoginId) -> Outcome {
        let cancelled = self
            .logins
            .get(&login_id)
            .is_some_and(|login| login.view.state.status() == LoginStatus::Cancelled);
        self.slot = self.slot.filter(|slot| !cancelled || slot.holder != login_id);
        Outcome::Done
    }

    fn approve(&mut self, approve: &Approve) -> Outcome {
        let Some(login) = self.logins.get_mut(&approve.login_id) else { return Outcome::NotFound };
        if login.view.state.status() != LoginStatus::Pending {
            return Outcome::Lost(approve.login_id, login.view.clone());
        }
        (login.request, login.tokens) = (false, true);
        if self.slot.is_some_and(|slot| slot.holder == approve.login_id) {
            self.slot = None;
        }
        let state = LoginState::Approved { at: approve.now, until: approve.until };
        login.go(state, approve.attempt, ("login.approved", None))
    }

    fn set_pace(&mut self, login_id: LoginId, owner: NodeId, pace: Pace) -> Outcome {
        let Some(login) = self.logins.get_mut(&login_id) else { return Outcome::Paced(None) };
        let LoginState::Pending { until, provider_slow, .. } = login.view.state else {
            return Outcome::Paced(None);
        };
        if login.view.owner != owner {
            return Outcome::Paced(None);
        }
        login.view.version += u32::from(provider_slow != pace.provider_slow);
        login.view.state = LoginState::Pending {
            until,
            interval: pace.interval,
            not_before: pace.not_before,
            provider_slow: pace.provider_slow,
        };
        Outcome::Paced(Some(login.view.clone()))
    }

    fn mine(&self, owner: NodeId, due: &[LoginId]) -> BTreeSet<LoginId> {
        let is_mine = |login: &&LoginId| {
            self.logins.get(login).is_some_and(|login| {
                login.view.owner == owner && login.view.state.status() == LoginStatus::Pending
            })
        };
        due.iter().filter(is_mine).copied().collect()
    }

    fn pick_up(&mut self, pick_up: &PickUp) -> Outcome {
        let login_id = pick_up.session.login_id;
        let Some(login) = self.logins.get_mut(&login_id) else { return Outcome::NotFound };
        let handle = Handle { hash: pick_up.handle.hash, used: false, dead: false };
        match login.view.state {
            LoginState::Approved { until, .. } if until > pick_up.now => {
                let session = &pick_up.session;
                login.session = Some(ModelSession::of(pick_up, handle));
                login.hint_until = Some(pick_up.now + READABLE);
                let state = LoginState::PickedUp {
                    at: pick_up.now,
                    session_id: session.session_id,
                    repeatable_until: pick_up.repeatable_until,
                };
                login.go(state, pick_up.attempt, ("login.picked_up", None));
                Outcome::First(session.session_id)
            }
            LoginState::PickedUp { repeatable_until, .. } => {
                let Some(session) = &mut login.session else { return Outcome::NotFound };
                let live = session.handles.iter_mut().find(|handle| !handle.dead && !handle.used);
                match live {
                    Some(live)
                        if pick_up.now <= repeatable_until && session.view.state == SessionState::Active =>
                    {
                        live.dead = true;
                        session.handles.push(handle);
                        login.view.attempt = pick_up.attempt;
                        login.audit.push(("login.pick_up_repeated", None, pick_up.attempt));
                        Outcome::Repeated(session.id)
                    }
                    _ => {
                        login.audit.push(("handle_replay", None, pick_up.attempt));
                        Outcome::AlreadyPickedUp(login_id, login.view.clone())
                    }
                }
            }
            _ => Outcome::NotApproved(login_id, login.view.clone()),
        }
    }

    fn record_use(&mut self, used: &RecordUse) -> UseOutcome {
        let Some((_, session)) = self.session_mut(used.session_id) else { return UseOutcome::HandleDead };
        let (active, over) = (session.view.state == SessionState::Active, session.over(used.now));
        let Some(handle) = session.handles.iter_mut().find(|handle| handle.hash == used.handle) else {
            return UseOutcome::HandleDead;
        };
        if handle.dead {
            return UseOutcome::HandleDead;
        }
        if !active {
            return UseOutcome::SessionOver;
        }
        handle.used = true;
        if used.touch && session.last_used_at + LAG <= used.now {
            if over.is_some() {
                return UseOutcome::SessionOver;
            }
            session.last_used_at = used.now;
        }
        UseOutcome::Recorded
    }

    fn exercice(&mut self, session_id: SessionId, attempt: Attempt, exercice: &str) -> Outcome {
        let Some((audit, session)) = self.session_mut(session_id) else { return Outcome::NotFound };
        if session.view.state != SessionState::Active {
            return Outcome::SessionLost(session.view.clone());
        }
        session.view.exercice = Some(exercice.to_owned());
        session.view.version += 1;
        session.view.attempt = attempt;
        audit.push(("session.exercice_chosen", None, attempt));
        Outcome::SessionWon(session.view.clone())
    }

    fn end_session(&mut self, end: &EndSession) -> Outcome {
        let Some((audit, session)) = self.session_mut(end.session_id) else { return Outcome::NotFound };
        if session.view.state != SessionState::Active {
            return Outcome::SessionLost(session.view.clone());
        }
        session.view.state = SessionState::Ended { reason: end.reason, at: end.now };
        session.view.version += 1;
        session.view.attempt = end.attempt;
        audit.push(("session.ended", Some(end.reason.as_str()), end.attempt));
        let view = session.view.clone();
        let login = self.logins.values_mut().find(|login| login.session_id() == Some(end.session_id));
        if let Some(login) = login {
            (login.request, login.tokens) = (false, false);
            login.forget_hint(end.now);
        }
        Outcome::SessionWon(view)
    }

    fn claim_refresh(&mut self, claim: &ClaimRefresh) -> &'static str {
        let Some((_, session)) = self.session_mut(claim.session_id) else { return "over" };
        if session.view.state != SessionState::Active || session.over(claim.now).is_some() {
            return "over";
        }
        let refresh = &mut session.view.refresh;
        if refresh.generation != claim.generation {
            return "fresh";
        }
        // Whoever reserves nothing sees a deadline further ahead than any of his: a clock that was set back.
        if session.refreshing.is_some_and(|(_, reserved)| reserved && !claim.reserve.is_zero()) {
            return "under way";
        }
        let held_back = refresh.not_before.is_some_and(|not_before| claim.now < not_before);
        if held_back || refresh.unanswered >= MOST_UNANSWERED {
            return "not now";
        }
        if refresh.unanswered > 0 && refresh.failures == 0 {
            refresh.failures = 1;
        }
        refresh.unanswered += 1;
        session.refreshing = Some((claim.attempt, !claim.reserve.is_zero()));
        "won"
    }

    fn renew(&mut self, renewal: &Renewal) -> &'static str {
        let Some((audit, session)) = self.session_mut(renewal.session_id) else { return "over" };
        if session.view.state != SessionState::Active {
            return "over";
        }
        if session.view.refresh.generation != renewal.generation {
            return "overtaken";
        }
        session.view.refresh = RefreshState {
            generation: renewal.generation + 1,
            due_at: renewal.due_at,
            ..RefreshState::default()
        };
        session.grant_expires_at = renewal.tokens.refresh_expires_at;
        session.refreshing = None;
        audit.push(("session.refreshed", None, renewal.attempt));
        "committed"
    }

    fn miss_refresh(&mut self, miss: &RefreshMiss) -> Outcome {
        let Some((_, session)) = self.session_mut(miss.session_id) else { return Outcome::Done };
        let is_its_own = session.refreshing.is_some_and(|(attempt, _)| attempt == miss.attempt);
        let active = session.view.state == SessionState::Active;
        let refresh = &mut session.view.refresh;
        if is_its_own && active && refresh.generation == miss.generation {
            refresh.unanswered -= u32::from(!miss.is_unanswered);
            refresh.failures += u32::from(miss.not_before.is_some());
            refresh.not_before = miss.not_before;
            session.refreshing = None;
        }
        Outcome::Done
    }

    fn end_refused(&mut self, end: &EndRefused) -> Outcome {
        let Some((_, session)) = self.session_mut(end.session_id) else { return Outcome::NotFound };
        if session.view.refresh.generation != end.generation {
            return Outcome::SessionLost(session.view.clone());
        }
        let EndRefused { session_id, attempt, now, reason, .. } = *end;
        self.end_session(&EndSession { session_id, attempt, now, reason })
    }

    fn adopt(&mut self, node: NodeId) -> Outcome {
        let (mut pending, mut starting) = (BTreeSet::new(), BTreeSet::new());
        for (login_id, login) in &mut self.logins {
            let status = login.view.state.status();
            let dead = !self.many_nodes || !self.alive.contains(&login.view.owner);
            if !status.is_open() || login.view.owner == node || !dead {
                continue;
            }
            login.view.owner = node;
            let of = if status == LoginStatus::Pending { &mut pending } else { &mut starting };
            of.insert(*login_id);
        }
        Outcome::Adopted { pending, starting }
    }

    fn overdue(&self, now: Timestamp) -> Outcome {
        let owners_before = now - Duration::from_secs(45);
        let is_overdue = |login: &ModelLogin| match login.view.state {
            LoginState::Starting { until } | LoginState::Pending { until, .. } => until < owners_before,
            LoginState::Approved { until, .. } => until <= now,
            _ => false,
        };
        let logins = self.logins.iter().filter(|(_, login)| is_overdue(login)).map(|(id, _)| *id).collect();
        let active = |session: &&ModelSession| session.view.state == SessionState::Active;
        let sessions = self.logins.values().filter_map(|login| login.session.as_ref()).filter(active);
        let sessions =
            sessions.filter_map(|session| session.over(now).map(|why| (session.id, why.as_str()))).collect();
        Outcome::Overdue { logins, sessions }
    }

    fn housekeep(&mut self, now: Timestamp) -> Outcome {
        for login in self.logins.values_mut() {
            login.forget_hint(now);
        }
        self.keys.retain(|_, (_, _, until)| *until > now);
        self.slot = self.slot.filter(|slot| slot.until > now);
        let over = self.logins.extract_if(.., |_, login| {
            let session_over = login.session.as_ref().is_none_or(|session| match session.view.state {
                SessionState::Ended { at, .. } => at + KEPT <= now,
                SessionState::Active => false,
            });
            let login_over = match login.view.state {
                LoginState::Ended { at, .. } | LoginState::PickedUp { at, .. } => at + KEPT <= now,
                _ => false,
            };
            session_over && login_over
        });
        self.buried.extend(over.map(|(login_id, login)| (login_id, login.audit)));
        Outcome::Done
    }

    fn session_mut(&mut self, session_id: SessionId) -> Option<(&mut Vec<Record>, &mut ModelSession)> {
        self.logins.values_mut().find_map(|login| {
            let session = login.session.as_mut().filter(|session| session.id == session_id)?;
            Some((&mut login.audit, session))
        })
    }
}

/// The arrows of the state table that lead to an end without a session.
const ARROWS: [(LoginStatus, LoginStatus); 9] = [
    (LoginStatus::Starting, LoginStatus::Failed),
    (LoginStatus::Starting, LoginStatus::Cancelled),
    (LoginStatus::Pending, LoginStatus::Denied),
    (LoginStatus::Pending, LoginStatus::Expired),
    (LoginStatus::Pending, LoginStatus::Failed),
    (LoginStatus::Pending, LoginStatus::Cancelled),
    (LoginStatus::Approved, LoginStatus::Expired),
    (LoginStatus::Approved, LoginStatus::Failed),
    (LoginStatus::Approved, LoginStatus::Cancelled),
];

impl ModelLogin {
    /// A transition: one version more, one audit record.
    fn go(
        &mut self,
        to: LoginState,
        attempt: Attempt,
        record: (&'static str, Option<&'static str>),
    ) -> Outcome {
        self.view.state = to;
        self.view.version += 1;
        self.view.attempt = attempt;
        self.audit.push((record.0, record.1, attempt));
        Outcome::Won(self.view.clone())
    }

    fn forget_hint(&mut self, now: Timestamp) {
        if self.hint_until.is_some_and(|until| until <= now) {
            self.view.hint = false;
            self.hint_until = None;
        }
    }

    pub fn session_id(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.id)
    }
}

impl ModelSession {
    fn of(pick_up: &PickUp, handle: Handle) -> Self {
        let session = &pick_up.session;
        Self {
            id: session.session_id,
            view: SessionView {
                state: SessionState::Active,
                version: 1,
                attempt: session.attempt,
                exercice: None,
                refresh: session.refresh,
            },
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            idle: session.idle,
            grant_expires_at: session.grant_expires_at,
            handles: vec![handle],
            refreshing: None,
        }
    }

    /// Why it is over at `now`, if it is: absolute life first, then idleness, then the grant's own end, which is for
    /// want of use as well where it comes no sooner than the lag of the last use allows.
    fn over(&self, now: Timestamp) -> Option<SessionEndReason> {
        let idle = self.last_used_at + self.idle;
        if now >= self.expires_at {
            Some(SessionEndReason::Absolute)
        } else if now >= idle {
            Some(SessionEndReason::Idle)
        } else {
            let grant = self.grant_expires_at.filter(|end| now >= *end)?;
            let unused = grant + LAG >= idle;
            Some(if unused { SessionEndReason::Idle } else { SessionEndReason::ReauthRequired })
        }
    }
}
