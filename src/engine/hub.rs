//! Where waiting clients wait, without a database connection.
//!
//! Whoever waits subscribes, then reads, then waits, then reads: a change between reading and waiting is not lost.
//! Messages from other nodes may be lost, so once a second the hub compares what its subscribers saw last with the
//! store ([`Hub::behind`]); that statement is the safety net, not the way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::ports::Changed;

struct Topic {
    /// Ticks at every change.
    ticks: watch::Sender<u64>,
    /// The version that a subscriber has read last.
    seen: u32,
    subscribers: usize,
}

/// All topics that somebody waits for.
#[derive(Default)]
pub struct Hub {
    topics: Mutex<HashMap<Changed, Topic>>,
}

impl Hub {
    /// Starts listening to a topic.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, topic: Changed) -> Subscription {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = topics.entry(topic).or_insert_with(|| Topic {
            ticks: watch::Sender::new(0),
            seen: 0,
            subscribers: 0,
        });
        entry.subscribers += 1;
        Subscription { hub: self.clone(), topic, ticks: entry.ticks.subscribe() }
    }

    /// Wakes whoever waits for `topic`.
    pub fn notify(&self, topic: Changed) {
        if let Some(entry) = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(&topic) {
            entry.ticks.send_modify(|ticks| *ticks += 1);
        }
    }

    /// Wakes everybody: messages may have been lost.
    pub fn notify_all(&self) {
        for entry in self.topics.lock().unwrap_or_else(PoisonError::into_inner).values() {
            entry.ticks.send_modify(|ticks| *ticks += 1);
        }
    }

    /// Every topic that somebody waits for.
    #[must_use]
    pub fn topics(&self) -> Vec<Changed> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Wakes whoever has seen less than `version` of `topic`.
    pub fn behind(&self, topic: Changed, version: u32) {
        if let Some(entry) = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(&topic)
            && entry.seen < version
        {
            entry.ticks.send_modify(|ticks| *ticks += 1);
        }
    }
}

/// One waiter's ear at one topic.
pub struct Subscription {
    hub: Arc<Hub>,
    topic: Changed,
    ticks: watch::Receiver<u64>,
}

impl Subscription {
    /// Notes what the waiter has read, for the safety net.
    pub fn seen(&self, version: u32) {
        if let Some(entry) =
            self.hub.topics.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&self.topic)
        {
            entry.seen = entry.seen.max(version);
        }
    }

    /// Completes at the next change since the last call.
    pub async fn changed(&mut self) {
        if self.ticks.changed().await.is_err() {
            // The sender lives as long as this subscription; if that ever broke, waiting out the time is right.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.hub.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = topics.get_mut(&self.topic) {
            entry.subscribers -= 1;
            if entry.subscribers == 0 {
                topics.remove(&self.topic);
            }
        }
    }
}
