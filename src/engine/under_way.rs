//! What is done once for all who want it at the same time in this process: whoever comes while it is under way waits for
//! its end, and is told nothing but that it is over. A task that has died is waited for by nobody.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// True once it is over, however it went; an error says so too.
pub(super) type Waiting = watch::Receiver<bool>;

/// What is under way, by what it is about.
pub(super) struct UnderWay<K>(Mutex<HashMap<K, Waiting>>);

impl<K> Default for UnderWay<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash> UnderWay<K> {
    /// Waits with those who wait already; `None`: nothing is under way.
    pub(super) fn join(&self, key: K) -> Option<Waiting> {
        living(&self.lock(), &key)
    }

    /// Begins, with what is handed to [`UnderWay::end`]; `Err`: it is under way already.
    pub(super) fn begin(&self, key: K) -> Result<(watch::Sender<bool>, Waiting), Waiting> {
        let mut under_way = self.lock();
        if let Some(earlier) = living(&under_way, &key) {
            return Err(earlier);
        }
        let (finished, done) = watch::channel(false);
        under_way.insert(key, done.clone());
        Ok((finished, done))
    }

    /// It is over: whoever comes now begins anew.
    pub(super) fn end(&self, key: K, finished: &watch::Sender<bool>) {
        self.lock().remove(&key);
        finished.send_replace(true);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn living<K: Eq + Hash>(under_way: &HashMap<K, Waiting>, key: &K) -> Option<Waiting> {
    under_way.get(key).filter(|waiting| waiting.has_changed().is_ok()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_begins_the_others_join_and_a_dead_one_is_waited_for_by_nobody() {
        let all = UnderWay::default();
        assert!(all.join(1).is_none());
        let Ok((finished, done)) = all.begin(1) else { panic!("nothing was under way") };
        let joined = all.begin(1).expect_err("it is under way");
        assert!(all.join(1).is_some() && all.join(2).is_none());
        all.end(1, &finished);
        assert!(*done.borrow() && *joined.borrow());
        assert!(all.join(1).is_none());
        drop(all.begin(1));
        assert!(all.join(1).is_none(), "its task has died");
        assert!(all.begin(1).is_ok());
    }
}
