//! Many who ask for the same at once share one reading: a session under a storm of uses is one row, and the store has few
//! connections.
//!
//! A reading that is shared begins after everybody who shares it has come. So whoever comes while one is under way waits for
//! the next one, unlike with [`UnderWay`](super::under_way::UnderWay): what was answered to anybody before he asked, a logout
//! say, he sees. Nothing is shared between those whom it might tell different things, and nothing that can be spent.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

/// The latest reading of each key. Nothing is kept of what nobody waits for.
pub(super) struct Readings<K, T>(Table<K, T>);

type Table<K, T> = Arc<Mutex<HashMap<K, Latest<T>>>>;
type Reading<T> = Shared<BoxFuture<'static, T>>;

struct Latest<T> {
    reading: WeakShared<BoxFuture<'static, T>>,
    has_begun: bool,
    /// Which one it is.
    mark: Arc<()>,
}

impl<K, T> Default for Readings<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Readings<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What `read` gives, or what another's gives that has not begun yet. It must not panic. It goes on for as long as
    /// somebody waits for it.
    pub(super) async fn share<F>(&self, key: K, read: F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let reading = self.join_or_queue(key, read);
        reading.await
    }

    fn join_or_queue<F>(&self, key: K, read: F) -> Reading<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut table = lock(&self.0);
        let latest = table.get(&key).and_then(|latest| Some((latest.reading.upgrade()?, latest.has_begun)));
        let before = match latest {
            Some((reading, false)) => return reading,
            Some((reading, true)) => Some(reading),
            None => None,
        };
        let mark = Arc::new(());
        let place = Place { of: Arc::clone(&self.0), key: key.clone(), mark: Arc::clone(&mark) };
        let reading = async move {
            if let Some(before) = before {
                before.await;
            }
            place.begin();
            read.await
        };
        let reading = reading.boxed().shared();
        // One that has not been waited for yet is not over.
        if let Some(weak) = reading.downgrade() {
            table.insert(key, Latest { reading: weak, has_begun: false, mark });
        }
        reading
    }
}

fn lock<K, T>(table: &Table<K, T>) -> MutexGuard<'_, HashMap<K, Latest<T>>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reading's place in the table: it leaves it once it is over, or nobody waits for it any more.
struct Place<K: Eq + Hash, T> {
    of: Table<K, T>,
    key: K,
    mark: Arc<()>,
}

impl<K: Eq + Hash, T> Place<K, T> {
    /// From now on nobody joins: whoever has joined has come before.
    fn begin(&self) {
        if let Some(latest) = lock(&self.of).get_mut(&self.key)
            && Arc::ptr_eq(&latest.mark, &self.mark)
        {
            latest.has_begun = true;
        }
    }
}

impl<K: Eq + Hash, T> Drop for Place<K, T> {
    fn drop(&mut self) {
        let mut table = lock(&self.of);
        if table.get(&self.key).is_some_and(|latest| Arc::ptr_eq(&latest.mark, &self.mark)) {
            table.remove(&self.key);
        }
    }
}
#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Something to read that counts its readings, and gives each as soon as it may.
    struct Source {
        begun: AtomicU32,
        may_end: Semaphore,
    }

    fn source() -> Arc<Source> {
        Arc::new(Source { begun: AtomicU32::new(0), may_end: Semaphore::new(0) })
    }

    impl Source {
        /// The number of the reading.
        fn read(self: &Arc<Self>) -> impl Future<Output = u32> + Send + 'static {
            let source = Arc::clone(self);
            async move {
                let number = source.begun.fetch_add(1, Ordering::SeqCst) + 1;
                source.may_end.acquire().await.expect("never closed").forget();
                number
            }
        }

        async fn has_begun(&self, wanted: u32) {
            while self.begun.load(Ordering::SeqCst) < wanted {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_while_one_is_under_way_shares_the_next_one() {
        let (readings, source) = (Readings::<u8, u32>::default(), source());
        let ask = || {
            let mut asking = Box::pin(readings.share(1, source.read()));
            assert!((&mut asking).now_or_never().is_none(), "it may not end yet");
            asking
        };
        let first = ask();
        let mut later: Vec<_> = (0..100).map(|_| ask()).collect();
        assert_eq!(source.begun.load(Ordering::SeqCst), 1, "the others wait for the next one");
        source.may_end.add_permits(1);
        assert_eq!(first.await, 1);
        assert!((&mut later[0]).now_or_never().is_none());
        assert_eq!(source.begun.load(Ordering::SeqCst), 2);
        // What changes now the second one may not show any more.
        let last = ask();
        source.may_end.add_permits(2);
        assert!(join_all(later).await.iter().all(|number| *number == 2));
        assert_eq!(last.await, 3);
        assert_eq!(source.begun.load(Ordering::SeqCst), 3);
        assert!(readings.0.lock().expect("nobody panics").is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn one_that_nobody_waits_for_any_more_is_given_up_and_another_key_waits_for_nobody() {
        let (readings, source) = (Arc::new(Readings::<u8, u32>::default()), source());
        let ask = |key| {
            let (readings, read) = (Arc::clone(&readings), source.read());
            tokio::spawn(async move { readings.share(key, read).await })
        };
        let given_up = ask(1);
        source.has_begun(1).await;
        let elsewhere = ask(2);
        source.has_begun(2).await;
        given_up.abort();
        assert!(given_up.await.is_err());
        let next = ask(1);
        source.has_begun(3).await;
        source.may_end.add_permits(2);
        assert_eq!((elsewhere.await.expect("no panic"), next.await.expect("no panic")), (2, 3));
        assert!(readings.0.lock().expect("nobody panics").is_empty(), "nothing is kept");
    }
}
