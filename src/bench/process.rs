//! What the system says of processes and of itself (`/proc`). Where there is none, nothing is told.

use std::fs;
use std::time::Duration;

/// Ticks of `/proc` in a second: `USER_HZ`, the same on every Linux that Relais is built for.
const TICKS_PER_SECOND: u32 = 100;

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Resident memory, in KiB.
    pub resident: u64,
    /// The most it ever was.
    pub resident_peak: u64,
}

/// What a process has used; by its number or `self`.
pub(super) fn usage(process: &str) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    Some(Usage {
        cpu: cpu(&stat)?,
        resident: kib(&status, "VmRSS:")?,
        resident_peak: kib(&status, "VmHWM:")?,
    })
}

/// The files that a process may have open.
pub(super) fn descriptors(process: &str) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time of all cores since the start of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    busy: u64,
    all: u64,
}

/// Time of all cores until now.
pub(super) fn cores() -> Option<Cores> {
    cores_of(&fs::read_to_string("/proc/stat").ok()?)
}

impl Cores {
    /// The share of all cores that was busy since `earlier`, in percent.
    #[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
    pub(super) fn busy_percent_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.busy.saturating_sub(earlier.busy) as f64 * 100.0 / all as f64
    }
}

/// Fields 14 and 15. The second field is the program's name in parentheses, and may hold spaces and more of those.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let ticks = ticks()?.checked_add(ticks()?)?;
    Some(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `user nice system idle iowait irq softirq steal …`: idle are the fourth and fifth; guests are in user already.
fn cores_of(stat: &str) -> Option<Cores> {
    let ticks: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let all: u64 = ticks.iter().sum();
    (ticks.len() == 8).then_some(Cores { busy: all - idle, all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (re) (lais x) S 1 42 42 0 -1 4194304 900 0 0 0 150 25 0 0 20 0 5 0 1 1 1 1";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu("nonsense"), None);
    }

    #[test]
    fn a_machine_that_waits_for_its_disk_is_not_busy() {
        let earlier = cores_of("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1").expect("a machine");
        let later = cores_of("cpu  150 5 115 850 70 5 3 2 0 0\n").expect("a machine");
        assert!((later.busy_percent_since(earlier) - 40.0).abs() < 1e-9);
        assert!(cores_of("cpu  1 2 3").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        let usage = usage("self").expect("we live");
        assert!(usage.resident > 0 && usage.resident <= usage.resident_peak);
        assert!(descriptors("self").is_some_and(|limit| limit > 2));
        assert!(cores().is_some());
        assert!(super::usage("4194305").is_none(), "beyond the largest process number");
    }
}
