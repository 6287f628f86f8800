//! Parks: the names under which entries wait for a retry, and for how long. Pure.
//!
//! The name says after how much idle time an entry may be claimed, and the entry is made to look idle for the rest when it is
//! put there. So XINFO CONSUMERS shows what waits: `~park:10m` with 12 pending.

use std::time::Duration;

/// Who owns an entry that waits in place, for less than a lease.
pub(crate) const RETRY: &[u8] = b"~retry";

/// What the names of parks begin with.
const PREFIX: &[u8] = b"~park:";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Every park there is: its name, and how long an entry waits there at most.
const PARKS: [(&[u8], Duration); 8] = [
    (b"~park:1s", s(1)),
    (b"~park:5s", s(5)),
    (b"~park:30s", s(30)),
    (b"~park:2m", s(120)),
    (b"~park:10m", s(600)),
    (b"~park:1h", s(3_600)),
    (b"~park:6h", s(6 * 3_600)),
    (b"~park:24h", s(24 * 3_600)),
];

/// The longest wait for which there is a park.
pub(crate) const LONGEST: Duration = s(24 * 3_600);

/// Where an entry waits for so long, and how idle it is made to look. In place if that is less than the lease.
pub(crate) fn put(wait: Duration, lease: Duration) -> (&'static [u8], Duration) {
    if wait < lease {
        return (RETRY, lease - wait);
    }
    let wait = wait.min(LONGEST);
    let park = PARKS.iter().find(|(_, bucket)| *bucket >= wait);
    park.map_or((RETRY, lease), |(name, bucket)| (*name, *bucket - wait))
}

/// How long entries wait in the park of this name; `None` if it is no park.
pub(crate) fn bucket(name: &[u8]) -> Option<Duration> {
    PARKS.iter().find(|(park, _)| *park == name).map(|(_, bucket)| *bucket)
}

/// About how often the entries of this owner are looked at.
pub(crate) fn poll(name: &[u8]) -> Duration {
    bucket(name).map_or(s(1), |bucket| (bucket / 20).max(s(1)))
}

/// Whether entries of this owner wait for a retry.
pub(crate) fn waits(name: &[u8]) -> bool {
    name == RETRY || name.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_may_be_claimed_when_its_wait_is_over() {
        let lease = s(30);
        let rows = [
            (s(0), RETRY, s(30)),
            (s(29), RETRY, s(1)),
            (s(30), &b"~park:30s"[..], s(0)),
            (s(31), b"~park:2m", s(89)),
            (s(601), b"~park:1h", s(2_999)),
            (s(24 * 3_600), b"~park:24h", s(0)),
            (s(99 * 3_600), b"~park:24h", s(0)),
        ];
        for (wait, name, idle) in rows {
            assert_eq!(put(wait, lease), (name, idle), "{wait:?}");
            let least = bucket(name).unwrap_or(lease);
            assert_eq!(least - idle, wait.min(LONGEST), "{wait:?}");
        }
    }

    #[test]
    fn parks_are_known_by_name_and_looked_at_by_their_length() {
        assert_eq!(bucket(b"~park:2m"), Some(s(120)));
        assert_eq!(bucket(b"~park:3m"), None);
        assert_eq!(poll(b"~park:1s"), s(1));
        assert_eq!(poll(b"~park:10m"), s(30));
        assert_eq!(poll(RETRY), s(1));
        assert!(waits(RETRY) && waits(b"~park:3m"));
        assert!(!waits(b"worker-1"));
    }
}
