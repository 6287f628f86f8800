//! Delay buckets: the consumer names under which entries wait for a retry. No I/O.
//!
//! The name contains the idle time after which an entry may be claimed. When an entry is put there,
//! its idle time is set to the difference. So XINFO CONSUMERS shows what waits: `~delay:10m` with
//! 12 pending.

use std::time::Duration;

/// The owner of an entry that waits in place, for less than a lease.
pub(crate) const RETRY: &[u8] = b"~retry";

/// The prefix of the names of delay buckets.
const PREFIX: &[u8] = b"~delay:";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All delay buckets: the name, and the maximum delay.
const BUCKETS: [(&[u8], Duration); 8] = [
    (b"~delay:1s", s(1)),
    (b"~delay:5s", s(5)),
    (b"~delay:30s", s(30)),
    (b"~delay:2m", s(120)),
    (b"~delay:10m", s(600)),
    (b"~delay:1h", s(3_600)),
    (b"~delay:6h", s(6 * 3_600)),
    (b"~delay:24h", s(24 * 3_600)),
];

/// The longest delay that has a bucket.
pub(crate) const LONGEST: Duration = s(24 * 3_600);

/// Returns the owner of an entry with this delay, and the idle time to set. In place if the delay
/// is shorter than the lease.
pub(crate) fn placement(wait: Duration, lease: Duration) -> (&'static [u8], Duration) {
    if wait < lease {
        return (RETRY, lease - wait);
    }
    let wait = wait.min(LONGEST);
    let bucket = BUCKETS.iter().find(|(_, delay)| *delay >= wait);
    bucket.map_or((RETRY, lease), |(name, delay)| (*name, *delay - wait))
}

/// Returns the delay of the bucket with this name; `None` if it is not a bucket.
pub(crate) fn bucket_delay(name: &[u8]) -> Option<Duration> {
    BUCKETS.iter().find(|(bucket, _)| *bucket == name).map(|(_, delay)| *delay)
}

/// Returns the approximate interval at which the entries of this owner are checked.
pub(crate) fn check_interval(name: &[u8]) -> Duration {
    bucket_delay(name).map_or(s(1), |delay| (delay / 20).max(s(1)))
}

/// Whether entries of this owner wait for a retry.
pub(crate) fn is_delayed(name: &[u8]) -> bool {
    name == RETRY || name.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_claimable_when_its_delay_is_over() {
        let lease = s(30);
        let rows = [
            (s(0), RETRY, s(30)),
            (s(29), RETRY, s(1)),
            (s(30), &b"~delay:30s"[..], s(0)),
            (s(31), b"~delay:2m", s(89)),
            (s(601), b"~delay:1h", s(2_999)),
            (s(24 * 3_600), b"~delay:24h", s(0)),
            (s(99 * 3_600), b"~delay:24h", s(0)),
        ];
        for (wait, name, idle) in rows {
            assert_eq!(placement(wait, lease), (name, idle), "{wait:?}");
            let least = bucket_delay(name).unwrap_or(lease);
            assert_eq!(least - idle, wait.min(LONGEST), "{wait:?}");
        }
    }

    #[test]
    fn buckets_are_known_by_name_and_checked_by_their_length() {
        assert_eq!(bucket_delay(b"~delay:2m"), Some(s(120)));
        assert_eq!(bucket_delay(b"~delay:3m"), None);
        assert_eq!(check_interval(b"~delay:1s"), s(1));
        assert_eq!(check_interval(b"~delay:10m"), s(30));
        assert_eq!(check_interval(RETRY), s(1));
        assert!(is_delayed(RETRY) && is_delayed(b"~delay:3m"));
        assert!(!is_delayed(b"worker-1"));
    }
}
