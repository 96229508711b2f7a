//! Free ports for processes that tests start: each block is handed out once, since tests run side by side.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below the range from which the kernel takes ports for outgoing connections.
const RANGE: std::ops::Range<u16> = 10_000..20_000;

static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// The first of `count` neighbouring ports on loopback that nobody listens on.
pub fn block(count: u16) -> u16 {
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    // Runs of other test binaries on this machine begin somewhere else.
    let spread = u16::try_from(std::process::id() * 97 % u32::from(RANGE.end - RANGE.start)).unwrap_or(0);
    let found = (0..500).find_map(|_| {
        let mut first = next.unwrap_or(RANGE.start + spread);
        if first + count > RANGE.end {
            first = RANGE.start;
        }
        *next = Some(first + count);
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        (first..first + count).all(is_free).then_some(first)
    });
    found.expect("neighbouring ports are free")
}
