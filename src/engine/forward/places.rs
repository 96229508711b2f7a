//! Calls of targets under way: no more of a target than it may have, and of those no session more than its share, so that
//! one person's calls, or whoever has their handle, leave room for everybody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::SessionId;
use crate::domain::names::TargetName;
use crate::domain::target::Target;
use crate::engine::ports::CallPlace;

/// All of them, by target.
#[derive(Clone, Default)]
pub(in crate::engine) struct Places(Arc<Mutex<HashMap<TargetName, Calls>>>);

#[derive(Default)]
struct Calls {
    all: u32,
    by_session: HashMap<SessionId, u32>,
}

/// One place, given back when this is dropped.
struct Taken {
    places: Places,
    target: TargetName,
    session_id: SessionId,
}

impl Places {
    /// A place for one more call; `None`: the target has none left, or none for this session.
    pub(super) fn enter(&self, target: &Target, session_id: SessionId) -> Option<CallPlace> {
        let mut targets = self.lock();
        let calls = targets.entry(target.name.clone()).or_default();
        let own = calls.by_session.get(&session_id).copied().unwrap_or_default();
        if calls.all >= target.max_requests || own >= share(target.max_requests) {
            return None;
        }
        calls.all += 1;
        calls.by_session.insert(session_id, own + 1);
        drop(targets);
        Some(CallPlace::new(Taken { places: self.clone(), target: target.name.clone(), session_id }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TargetName, Calls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one session may have of so many.
fn share(max_requests: u32) -> u32 {
    (max_requests / 4).max(1)
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut targets = self.places.lock();
        let Some(calls) = targets.get_mut(&self.target) else { return };
        calls.all = calls.all.saturating_sub(1);
        if let Some(own) = calls.by_session.get_mut(&self.session_id) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                calls.by_session.remove(&self.session_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_quarter_of_a_target_s_places_and_one_at_least() {
        assert_eq!([1, 2, 7, 8, 64, u32::MAX].map(share), [1, 1, 1, 2, 16, u32::MAX / 4]);
    }
}
