//! When clients come: by a timetable that nothing holds back, or as fast as a number of them goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::domain::clock::{Clock, Monotonic};

/// When clients come.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// So many a second, whether or not those before them have been served.
    Rate(f64),
    /// So many at once, each after its predecessor.
    AtOnce(usize),
}

/// Lets clients number 0 to `count` come. Each is told its number and when it was to come: from then on its times
/// count, also where this generator was late. What each brought, in no order.
pub(super) async fn arrivals<T, V, F>(clock: &Arc<dyn Clock>, pace: Pace, count: usize, visit: V) -> Vec<T>
where
    T: Send + 'static,
    V: Fn(usize, Monotonic) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    match pace {
        Pace::Rate(rate) => by_timetable(clock, rate, count, visit).await,
        Pace::AtOnce(clients) => one_after_the_other(clock, clients, count, visit).await,
    }
}

async fn by_timetable<T, F>(
    clock: &Arc<dyn Clock>,
    rate: f64,
    count: usize,
    visit: impl Fn(usize, Monotonic) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let began = clock.monotonic();
    let mut visits = JoinSet::new();
    for number in 0..count {
        let due = began + due_after(number, rate);
        if clock.monotonic() < due {
            clock.sleep_until(due).await;
        }
        visits.spawn(visit(number, due));
    }
    visits.join_all().await
}

/// When number `number` of a timetable is due after its beginning.
#[expect(clippy::cast_precision_loss, reason = "numbers of clients are far below 2^52")]
pub(super) fn due_after(number: usize, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

async fn one_after_the_other<T, V, F>(
    clock: &Arc<dyn Clock>,
    clients: usize,
    count: usize,
    visit: V,
) -> Vec<T>
where
    T: Send + 'static,
    V: Fn(usize, Monotonic) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..clients.min(count) {
        let (clock, next, visit) = (Arc::clone(clock), Arc::clone(&next), visit.clone());
        workers.spawn(async move {
            let mut brought = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return brought;
                }
                brought.push(visit(number, clock.monotonic()).await);
            }
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}
