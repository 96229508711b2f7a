//! Who is polled next: a timer queue in memory.
//!
//! The node that starts a login polls it. Before each batch of sends one statement asks which of the due logins are
//! still pending and this node's; nothing is sent without a valid lease. Intervals are monotonic and count from the
//! sending (CIBA §10.1); one login never has two polls under way, since it is in the queue only between polls. A
//! provider is sent a bounded number at once. An announcement of the provider makes one poll due at once, in a login's
//! whole life: a flood of them makes no more. A login whose outcome the provider sends itself is in the queue to be given
//! up, and is never polled.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::Engine;
use super::ports::PollJob;
use crate::domain::clock::Monotonic;
use crate::domain::ids::LoginId;
use crate::domain::login::LoginState;
use crate::domain::names::ProviderName;
use crate::domain::registration::Delivery;
use crate::telemetry::error_chain::ErrorChain;

/// How long to wait before asking again while the lease is lapsed or the store does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// How many logins one statement asks about.
const BATCH: usize = 500;

/// From so many waiting logins on, those that are due are gathered for a moment: one statement asks about many. With
/// fewer the statements do not matter, and nobody waits for one.
const MANY: usize = 500;
const GATHER: Duration = Duration::from_millis(10);

/// A login between two polls.
pub(super) struct Waiting {
    pub(super) job: PollJob,
    /// The interval now in force.
    pub(super) interval: Duration,
    /// When the login is given up, after one last poll.
    pub(super) deadline: Monotonic,
    /// Until when the last poll may be sent.
    pub(super) last_poll: Monotonic,
    /// Polls in a row that the provider has not answered.
    pub(super) failures: u32,
    /// When it is due; an entry of the heap that says another time is out of date.
    pub(super) due: Monotonic,
    /// Not before this, whatever is announced: the provider has said so.
    pub(super) held_back: Monotonic,
    /// It is due to be given up, not to be polled.
    pub(super) give_up: bool,
    /// An announcement has made it due at once before.
    pub(super) announced: bool,
}

impl Waiting {
    /// Due at once, for the first announcement only. A login that the provider holds back until after its end stays
    /// given up.
    fn announce(&mut self) -> bool {
        let is_too_late = self.held_back > self.last_poll;
        if self.announced || is_too_late || self.job.login.delivery != Delivery::Ping {
            return false;
        }
        self.announced = true;
        self.give_up = false;
        self.due = self.held_back;
        true
    }
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Reverse<(Monotonic, LoginId)>>,
    /// Boxed: a map that grows has room for up to twice as many as are in it.
    waiting: HashMap<LoginId, Box<Waiting>>,
    /// Those whose poll is under way.
    under_way: HashMap<LoginId, Poll>,
    /// Polls that have begun, ever.
    begun: u64,
}

/// A poll under way, as the queue notes it.
struct Poll {
    /// Which one: a login has many, one after the other.
    number: u64,
    /// Whether an announcement has come meanwhile: the answer may be older than it.
    rung: bool,
}

/// A poll under way, as whoever polls holds it. It is noted no longer once this is dropped, in a panic too.
pub(super) struct UnderWay {
    poller: Arc<Poller>,
    login_id: LoginId,
    number: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut queue = self.poller.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // The login may have been queued again, and be polled again by now.
        if queue.under_way.get(&self.login_id).is_some_and(|poll| poll.number == self.number) {
            queue.under_way.remove(&self.login_id);
        }
    }
}

/// The timer queue.
#[derive(Default)]
pub(super) struct Poller {
    queue: Mutex<Queue>,
    /// Rung when an earlier due time may have come in.
    earlier: Notify,
    /// The polls that each provider may be sent at once.
    places: Mutex<HashMap<ProviderName, Arc<Semaphore>>>,
}

impl Poller {
    /// Takes a pending login in; its first poll goes out one full interval from now.
    pub(super) fn add(&self, engine: &Engine, job: PollJob) {
        self.add_with(engine, job, |_| Duration::ZERO);
    }

    /// Takes in what somebody else polled. A node may leave thousands behind: their first polls are spread over a
    /// second interval, so that the provider does not get them all at once, nor all those that follow.
    pub(super) fn add_adopted(&self, engine: &Engine, jobs: Vec<PollJob>) {
        let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX).max(1);
        for (place, job) in (0..count).zip(jobs) {
            self.add_with(engine, job, |interval| interval * place / count);
        }
    }

    fn add_with(&self, engine: &Engine, job: PollJob, more: impl Fn(Duration) -> Duration) {
        let LoginState::Pending { until, interval, not_before, .. } = job.login.state else { return };
        let (now, monotonic) = (engine.clock.now(), engine.clock.monotonic());
        let deadline = monotonic + until.since(now);
        let margin = engine.poll_margin(&job.login);
        let held_back = not_before.map_or(monotonic, |at| monotonic + at.since(now));
        let earliest = (monotonic + interval + margin + more(interval)).max(held_back);
        let last_poll = deadline + engine.last_poll_patience(&job.login);
        let delivery = job.login.delivery;
        let waiting = Waiting {
            job,
            interval,
            deadline,
            last_poll,
            failures: 0,
            due: earliest,
            held_back,
            give_up: delivery == Delivery::Push,
            announced: false,
        };
        if waiting.give_up {
            self.put(deadline, waiting);
        } else {
            self.put_next(earliest, waiting);
        }
    }

    /// The next poll at `earliest`, which no deadline makes earlier. One that falls behind the deadline is the last,
    /// and must be sent in time; else the login is given up at its deadline.
    pub(super) fn put_next(&self, earliest: Monotonic, waiting: Waiting) {
        if earliest <= waiting.last_poll {
            self.put(earliest, waiting);
        } else {
            self.put(waiting.deadline, Waiting { give_up: true, ..waiting });
        }
    }

    pub(super) fn put(&self, at: Monotonic, waiting: Waiting) {
        let login_id = waiting.job.login.login_id;
        let mut waiting = Box::new(Waiting { due: at, ..waiting });
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.under_way.remove(&login_id).is_some_and(|poll| poll.rung) {
            waiting.announce();
        }
        let at = waiting.due;
        let is_first = queue.due.peek().is_none_or(|Reverse((first, _))| at < *first);
        queue.due.push(Reverse((at, login_id)));
        queue.waiting.insert(login_id, waiting);
        drop(queue);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// The provider has announced the outcome of a login: its next poll is due at once. Of a login that this node does
    /// not poll nothing happens.
    pub(super) fn ring(&self, login_id: LoginId) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(poll) = queue.under_way.get_mut(&login_id) {
            poll.rung = true;
            return;
        }
        let Some(waiting) = queue.waiting.get_mut(&login_id) else { return };
        if waiting.announce() {
            let at = waiting.due;
            queue.due.push(Reverse((at, login_id)));
            drop(queue);
            self.earlier.notify_one();
        }
    }

    /// When to look at the queue next.
    fn next_look(&self) -> Option<Monotonic> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Reverse((at, _)) = *queue.due.peek()?;
        Some(if queue.waiting.len() < MANY { at } else { at + GATHER })
    }

    fn take_due(&self, now: Monotonic) -> Vec<LoginId> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while due.len() < BATCH && queue.due.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, login_id))) = queue.due.pop() else { break };
            if queue.waiting.get(&login_id).is_some_and(|waiting| waiting.due == at) {
                due.push(login_id);
            }
        }
        due
    }

    fn take(&self, login_id: LoginId) -> Option<Waiting> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = queue.waiting.remove(&login_id)?;
        Some(*taken)
    }

    /// Notes that a poll is under way.
    fn begin(self: &Arc<Self>, login_id: LoginId) -> UnderWay {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.begun += 1;
        let number = queue.begun;
        queue.under_way.insert(login_id, Poll { number, rung: false });
        UnderWay { poller: Arc::clone(self), login_id, number }
    }

    /// Whether an announcement has come since the poll began, or since this was last asked: a poll that is sent now
    /// answers it.
    pub(super) fn was_rung(&self, login_id: LoginId) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.under_way.get_mut(&login_id).is_some_and(|poll| std::mem::take(&mut poll.rung))
    }

    fn places(&self, provider: &ProviderName, count: usize) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let of_provider = places.entry(provider.clone()).or_insert_with(|| Arc::new(Semaphore::new(count)));
        Arc::clone(of_provider)
    }

    fn push_back(&self, at: Monotonic, login_ids: &[LoginId]) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for login_id in login_ids {
            if let Some(waiting) = queue.waiting.get_mut(login_id) {
                waiting.due = at;
                queue.due.push(Reverse((at, *login_id)));
            }
        }
    }
}

impl Engine {
    /// Sends polls as they fall due, until the node drains.
    pub(super) async fn run_poller(self: Arc<Self>) {
        loop {
            let look = self.poller.next_look();
            let earlier = self.poller.earlier.notified();
            tokio::select! {
                () = self.draining.cancelled() => return,
                () = earlier => continue,
                () = async {
                    match look {
                        Some(at) => self.clock.sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
            let now = self.clock.monotonic();
            let batch = self.poller.take_due(now);
            if batch.is_empty() {
                continue;
            }
            if !self.lease.is_valid(now) {
                self.poller.push_back(now + PAUSE, &batch);
                continue;
            }
            match self.store.still_mine(self.node, &batch).await {
                Ok(mine) => self.send(&batch, &mine),
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "polls wait for the store");
                    self.poller.push_back(now + PAUSE, &batch);
                }
            }
        }
    }

    /// A place among the polls that the provider is sent at once. `None`: there is nothing to poll any more, or not
    /// now. Who has waited for a place asks again whether the login is still pending and this node's.
    pub(super) async fn place(&self, waiting: Waiting) -> Option<(Waiting, OwnedSemaphorePermit)> {
        let login = &waiting.job.login;
        // A registration never disappears while the server runs.
        let (_, provider) = self.directory.load().registration(&login.registration).cloned()?;
        let most = provider.profile.polls_at_once;
        let places = self.poller.places(&login.provider, most);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Some((waiting, place));
        }
        let place = tokio::select! {
            () = self.draining.cancelled() => return None,
            place = places.acquire_owned() => place.ok()?,
        };
        match self.store.still_mine(self.node, &[login.login_id]).await {
            Ok(mine) if mine.is_empty() => None,
            Ok(_) => Some((waiting, place)),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "a poll waits for the store");
                self.poller.put(self.clock.monotonic() + PAUSE, waiting);
                None
            }
        }
    }

    fn send(self: &Arc<Self>, batch: &[LoginId], mine: &[LoginId]) {
        for login_id in batch {
            // What is no longer pending or ours leaves the queue here.
            let Some(waiting) = self.poller.take(*login_id) else { continue };
            if mine.contains(login_id) {
                let under_way = self.poller.begin(*login_id);
                let engine = self.clone();
                let span = tracing::info_span!("poll", login.id = %login_id);
                let work = async move {
                    engine.poll_once(waiting).await;
                    drop(under_way);
                };
                self.tasks.spawn(work.instrument(span));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_under_way(poller: &Poller, login_id: LoginId) -> bool {
        poller.queue.lock().expect("lock").under_way.contains_key(&login_id)
    }

    #[tokio::test]
    async fn a_poll_that_panics_is_no_longer_under_way() {
        let (poller, login_id) = (Arc::new(Poller::default()), LoginId(uuid::Uuid::from_u128(1)));
        let under_way = poller.begin(login_id);
        assert!(is_under_way(&poller, login_id));
        let work = async move {
            let _under_way = under_way;
            panic!("a defect");
        };
        tokio::spawn(work).await.expect_err("it panics");
        assert!(!is_under_way(&poller, login_id));
    }

    #[test]
    fn a_poll_that_ends_late_takes_nothing_from_the_next_one() {
        let (poller, login_id) = (Arc::new(Poller::default()), LoginId(uuid::Uuid::from_u128(1)));
        let first = poller.begin(login_id);
        let second = poller.begin(login_id);
        drop(first);
        assert!(is_under_way(&poller, login_id));
        poller.ring(login_id);
        assert!(poller.was_rung(login_id) && !poller.was_rung(login_id), "heard once");
        drop(second);
        assert!(!is_under_way(&poller, login_id));
    }
}
