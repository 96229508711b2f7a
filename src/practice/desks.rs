//! The desks that are remembered: few, and none for long after its last use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::desk::Desk;
use crate::domain::clock::Monotonic;

const MOST_DESKS: usize = 32;
const KEPT_UNUSED: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(super) struct Desks {
    by_id: HashMap<Uuid, (Arc<Desk>, Monotonic)>,
}

impl Desks {
    /// Remembers a desk. Where there are too many, the one that was not used for longest goes.
    pub(super) fn open(&mut self, desk: Arc<Desk>, now: Monotonic) -> Arc<Desk> {
        self.by_id.retain(|_, (desk, used)| keep(desk, now.since(*used) < KEPT_UNUSED));
        if self.by_id.len() >= MOST_DESKS
            && let Some(oldest) = self.by_id.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
            && let Some((desk, _)) = self.by_id.remove(&oldest)
        {
            desk.close();
        }
        self.by_id.insert(desk.id, (desk.clone(), now));
        desk
    }

    /// The desk of that id, used now.
    pub(super) fn find(&mut self, id: Uuid, now: Monotonic) -> Option<Arc<Desk>> {
        let (desk, used) = self.by_id.get_mut(&id)?;
        if now.since(*used) >= KEPT_UNUSED {
            desk.close();
            self.by_id.remove(&id);
            return None;
        }
        *used = now;
        Some(desk.clone())
    }
}

fn keep(desk: &Desk, keep: bool) -> bool {
    if !keep {
        desk.close();
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::practice::desk::tests::StoppedClock;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn desk(number: u128) -> Arc<Desk> {
        Desk::new(Uuid::from_u128(number), Arc::new(StoppedClock))
    }

    #[test]
    fn the_desk_that_was_not_used_for_longest_makes_room() {
        let mut desks = Desks::default();
        for number in 0..32_u32 {
            desks.open(desk(number.into()), at(number.into()));
        }
        assert!(desks.find(Uuid::from_u128(0), at(50)).is_some());
        desks.open(desk(99), at(51));
        assert!(desks.find(Uuid::from_u128(0), at(52)).is_some(), "used since");
        assert!(desks.find(Uuid::from_u128(1), at(52)).is_none());
        assert!(desks.find(Uuid::from_u128(2), at(52)).is_some());
        assert!(desks.find(Uuid::from_u128(99), at(52)).is_some());
    }

    #[test]
    fn a_desk_is_forgotten_an_hour_after_its_last_use() {
        let mut desks = Desks::default();
        desks.open(desk(1), at(0));
        assert!(desks.find(Uuid::from_u128(1), at(3599)).is_some());
        assert!(desks.find(Uuid::from_u128(1), at(3599 + 3599)).is_some(), "each use counts");
        assert!(desks.find(Uuid::from_u128(1), at(3599 + 3599 + 3600)).is_none());
        desks.open(desk(2), at(20_000));
        desks.open(desk(3), at(20_000 + 3600));
        assert_eq!(desks.by_id.len(), 1);
    }
}
