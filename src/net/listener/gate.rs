//! Connection caps, over all and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::throttle::Throttle;

/// Counts open connections.
pub(super) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    max: usize,
    max_per_address: usize,
    open: Mutex<Open>,
    refusals: Arc<Throttle>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One place; given back when dropped.
pub(super) struct Pass {
    inner: Arc<Inner>,
    address: IpAddr,
}

impl Gate {
    pub(super) fn new(max: usize, max_per_address: usize) -> Self {
        let open = Mutex::new(Open::default());
        let refusals = Throttle::new("connections refused over a cap");
        Self { inner: Arc::new(Inner { max, max_per_address, open, refusals }) }
    }

    /// A place for a connection from this address, if there is one.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Pass> {
        let address = unit(address);
        let inner = &self.inner;
        let mut open = inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.total >= inner.max || from_address >= inner.max_per_address {
            let total = open.total;
            drop(open);
            if inner.refusals.may_tell() {
                tracing::warn!(%address, from_address, total, "connection cap reached, refusing connections");
            }
            return None;
        }
        open.total += 1;
        *open.by_address.entry(address).or_default() += 1;
        drop(open);
        Some(Pass { inner: Arc::clone(inner), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: with IPv6 the /64, for a single host has all of it.
fn unit(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn r_h_01_places_are_given_back_and_an_address_cannot_take_them_all() {
        let gate = Gate::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = gate.enter(a).expect("free");
        let _second = gate.enter(a).expect("free");
        assert!(gate.enter(a).is_none(), "per address");
        let _third = gate.enter(b).expect("free");
        assert!(gate.enter(b).is_none(), "over all");
        drop(first);
        assert!(gate.enter(b).is_some());
        assert_eq!(gate.inner.open.lock().unwrap().by_address.len(), 2);
    }

    #[test]
    fn r_h_01_ipv6_counts_by_network_and_mapped_ipv4_as_itself() {
        let unit = |text: &str| unit(text.parse().expect(text));
        assert_eq!(unit("2001:db8::1"), unit("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(unit("2001:db8:0:1::1"), unit("2001:db8:0:2::1"));
        assert_eq!(unit("::ffff:10.0.0.1"), unit("10.0.0.1"));
    }
}
