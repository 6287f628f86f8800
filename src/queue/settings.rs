//! Settings: the names and policies that all users of a queue share. No I/O.

use crate::queue::policy::delay::{CLASSES, RUNGS, hop};
use crate::queue::policy::plan::PlanSettings;
use crate::queue::policy::retention_kind::RetentionKind;
use crate::queue::policy::retry_policy::RetryPolicy;
use crate::queue::policy::window::Window;
use std::time::Duration;

/// The group in which dead letters are claimed, so that two operators do not both add a job. It does
/// not read the stream.
pub(crate) const OPERATORS: &str = "bourn-redrive";

/// The group of a queue that sets none.
const DEFAULT_GROUP: &[u8] = b"workers";

/// The prefix of the consumer names that this crate creates.
pub(crate) const CONSUMER_PREFIX: &[u8] = b"bourn-";

/// The rule for deleting entries from the stream. It is the same for all groups of a stream.
///
/// A queue does not open beside a group whose queue has another kind of retention
/// ([`SettingsError::OtherRetention`](crate::queue::SettingsError::OtherRetention)). For that, each
/// queue records its kind as a consumer of its group that never reads, such as `~retention:keep`.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Queue, RawBytes, Retention};
///
/// // Two groups read this stream: an entry goes when both have acknowledged it (Redis 8.2).
/// let queue: Queue<Vec<u8>> = Queue::builder(client, "orders")
///     .group("billing")
///     .retention(Retention::KeepUntilAllAcked)
///     .open(RawBytes)
///     .await?;
/// # let _ = queue;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retention {
    /// Deletes each entry when it is acknowledged: the stream holds only jobs that are not done.
    /// For a single group: a queue does not open with it beside another group.
    ///
    /// Another client may create a group later. Then entries stay until that group has
    /// acknowledged them too, where the server has XACKDEL (Redis 8.2), and are trimmed about every
    /// ten seconds. Before Redis 8.2 they are deleted, and the group loses what it has not read.
    /// [`Queue::health`](crate::queue::Queue::health) reports such a group.
    #[default]
    DeleteOnAck,
    /// Keeps each entry until every group of the stream has acknowledged it. For several groups.
    /// XACKDEL ACKED deletes it where the server has that (Redis 8.2). Otherwise the stream is
    /// trimmed about every ten seconds, below what any group still needs.
    ///
    /// One job that is never finished keeps all entries after it. A group that is no longer read
    /// must be destroyed.
    KeepUntilAllAcked,
    /// Keeps about this many entries, done or not. **Loses jobs** that are trimmed before they are
    /// done, or even read. Those are counted: [`Report::lost`](crate::queue::Report::lost),
    /// [`QueueEvent::Lost`](crate::queue::QueueEvent::Lost). Unread entries are counted from Redis
    /// 7.0 on, each once, by a consumer that reads further. Before, the server does not report how
    /// many entries were added: only pending entries are counted.
    ///
    /// For that, each read is a transaction with XINFO GROUPS and XINFO STREAM, and up to eight names
    /// in the group, such as `~lost:1200-6990`, say which are counted. Entries that are too large for
    /// [`Config::reply_bytes`](crate::Config::reply_bytes) end the counting. From Redis 8.0 on, entries
    /// are not counted that are added and trimmed in one transaction while a consumer waits.
    ///
    /// A job in flight may be trimmed too. From Redis 7.0 on its next heartbeat detects that: the
    /// job is cancelled, and counts as [`already_gone`](crate::queue::Report::already_gone).
    LossyMaxLen(u64),
    /// Keeps entries for about this duration, done or not. **Loses jobs** that are not done by
    /// then, as [`Retention::LossyMaxLen`]. The age is measured by the server's clock, from the ids
    /// that it assigns: a producer trims from its second job on.
    LossyMaxAge(Duration),
}

impl Retention {
    /// Whether an entry is deleted when it is acknowledged.
    pub(crate) fn deletes(self) -> bool {
        self == Self::DeleteOnAck
    }

    /// Returns the kind, in which the groups of a stream must agree.
    pub(crate) fn kind(self) -> RetentionKind {
        match self {
            Self::DeleteOnAck => RetentionKind::Delete,
            Self::KeepUntilAllAcked => RetentionKind::Keep,
            Self::LossyMaxLen(_) | Self::LossyMaxAge(_) => RetentionKind::Lossy,
        }
    }

    /// Whether entries may be deleted before they are done.
    pub(crate) fn is_lossy(self) -> bool {
        matches!(self, Self::LossyMaxLen(_) | Self::LossyMaxAge(_))
    }
}

/// The treatment of a job whose payload cannot be decoded.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Flat, Queue, Undecodable};
///
/// // Only this program adds jobs, in one format: what cannot be decoded never will be.
/// let queue: Queue<Vec<(String, String)>> = Queue::builder(client, "orders")
///     .undecodable(Undecodable::DeadLetter)
///     .open(Flat)
///     .await?;
/// # let _ = queue;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Undecodable {
    /// Retries the job as the retry policy says, and dead-letters it after the last attempt. During
    /// a deployment, workers of the previous version receive jobs that only the new one can decode.
    #[default]
    Retry,
    /// Moves the job to the dead-letter stream at once.
    DeadLetter,
}

/// The limits of the letters of one queue in its dead-letter stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LetterLimit {
    pub(crate) most: Option<u64>,
    pub(crate) age: Option<Duration>,
}

/// The names and policies of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) stream: Box<[u8]>,
    pub(crate) group: Box<[u8]>,
    pub(crate) dead_letter: Option<Box<[u8]>>,
    /// Whether the name of the dead-letter stream follows from those of stream and group.
    pub(crate) is_default_dead_letter: bool,
    pub(crate) letters: LetterLimit,
    /// The prefix of the keys of the wheel.
    wheel: Box<[u8]>,
    pub(crate) lease: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) retention: Retention,
    pub(crate) undecodable: Undecodable,
    pub(crate) at_most_once: bool,
    /// The number of idle consumers that block on the stream.
    pub(crate) blocked_readers: u32,
    pub(crate) dedupe: Option<Window>,
    #[cfg(feature = "tracing")]
    pub(crate) propagator: Option<crate::queue::codec::propagate::Propagator>,
}

impl Settings {
    pub(crate) fn new(stream: &[u8]) -> Self {
        Self {
            stream: stream.into(),
            group: DEFAULT_GROUP.into(),
            dead_letter: Some(own_key(stream, DEFAULT_GROUP, b":dlq")),
            is_default_dead_letter: true,
            letters: LetterLimit::default(),
            wheel: own_key(stream, DEFAULT_GROUP, b":delay"),
            lease: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            retention: Retention::default(),
            undecodable: Undecodable::default(),
            at_most_once: false,
            blocked_readers: 8,
            dedupe: None,
            #[cfg(feature = "tracing")]
            propagator: None,
        }
    }

    /// Sets the group, whose dead letters have a stream of their own by default, and whose delayed
    /// jobs always do.
    pub(crate) fn set_group(&mut self, group: &[u8]) {
        self.group = group.into();
        self.wheel = own_key(&self.stream, group, b":delay");
        if self.is_default_dead_letter {
            self.dead_letter = Some(own_key(&self.stream, group, b":dlq"));
        }
    }

    /// Sets the dead-letter stream.
    pub(crate) fn set_dead_letter(&mut self, key: Option<&[u8]>) {
        self.dead_letter = key.map(Box::from);
        self.is_default_dead_letter = false;
    }

    /// Returns the key of the stream with the jobs of this class that wait in the wheel.
    pub(crate) fn waiting_key(&self, class: usize) -> Vec<u8> {
        let name = CLASSES.get(class).map_or("", |(name, _)| name);
        [&*self.wheel, b":jobs:", name.as_bytes()].concat()
    }

    /// Returns the key of the stream with the timers of this rung.
    pub(crate) fn rung_key(&self, rung: usize) -> Vec<u8> {
        [&*self.wheel, b":after:", hop(rung).to_string().as_bytes()].concat()
    }

    /// Returns the key of the stream which says who moves the jobs of the wheel.
    pub(crate) fn mover_key(&self) -> Vec<u8> {
        [&*self.wheel, b":mover"].concat()
    }

    /// Returns the key of the stream which says who does the maintenance of the group.
    pub(crate) fn turn_key(&self) -> Vec<u8> {
        own_key(&self.stream, &self.group, b":turn").into_vec()
    }

    /// Returns the key of the stream on which idle consumers wait for a place.
    pub(crate) fn aside_key(&self) -> Vec<u8> {
        own_key(&self.stream, &self.group, b":aside").into_vec()
    }

    /// Returns the key of the stream of the recurring jobs, which all groups share.
    pub(crate) fn recurring_key(&self) -> Vec<u8> {
        in_same_slot(&self.stream, b":recurring").into_vec()
    }

    /// Returns all keys that the queue may use.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = vec![self.stream.to_vec()];
        keys.extend(self.dead_letter.as_ref().map(|key| key.to_vec()));
        keys.extend((0..CLASSES.len()).map(|class| self.waiting_key(class)));
        keys.extend((0..RUNGS).map(|rung| self.rung_key(rung)));
        keys.extend([self.mover_key(), self.turn_key(), self.aside_key()]);
        keys.push(self.recurring_key());
        keys
    }

    /// Returns the settings that the plan needs.
    pub(crate) fn plan_settings(&self, levels: usize, ageing: u32) -> PlanSettings {
        let (lease, at_most_once) = (self.lease, self.at_most_once);
        PlanSettings { lease, at_most_once, levels, ageing }
    }

    /// Returns the first setting in which two queues of one worker differ but must agree.
    pub(crate) fn differs(&self, other: &Self) -> Option<&'static str> {
        let differ = [
            (self.group != other.group, "group"),
            (self.lease != other.lease, "lease"),
            (self.at_most_once != other.at_most_once, "delivery: all at_most_once or none"),
        ];
        differ.iter().find(|(differ, _)| *differ).map(|(_, what)| *what)
    }

    /// Returns the first setting that is invalid in itself. The queue's jobs are sent again within
    /// this window.
    pub(crate) fn wrong(&self, needed: Window) -> Option<&'static str> {
        let least = Duration::from_millis(100);
        let most = Duration::from_secs(24 * 3_600);
        if self.stream.is_empty() || self.group.is_empty() {
            Some("the names of stream and group must not be empty")
        } else if self.dead_letter.as_deref() == Some(&self.stream) {
            Some("dead_letter must name another stream than the queue")
        } else if self.letters.most == Some(0) || self.letters.age == Some(Duration::ZERO) {
            Some("dead_letter_limit and dead_letter_age must not be zero; see no_dead_letter")
        } else if self.lease < least || self.lease > most {
            Some("lease must be between 100 ms and 24 h")
        } else if self.dedupe.is_some_and(|window| !window.covers(Window::LEAST)) {
            Some("dedupe_window must be at least 100 s and 100 keys: jobs are sent again within it")
        } else if self.dedupe.is_some_and(|window| !window.covers(needed)) {
            Some("dedupe_window must not be less than the client's idmp_window")
        } else if self.dedupe.is_some_and(|window| !Window::MOST.covers(window)) {
            Some("dedupe_window must be at most 24 h and 10,000 keys")
        } else {
            None
        }
    }
}

/// Returns a key that belongs to this group of this stream.
fn own_key(stream: &[u8], group: &[u8], suffix: &[u8]) -> Box<[u8]> {
    if group == DEFAULT_GROUP {
        return in_same_slot(stream, suffix);
    }
    in_same_slot(stream, &[suffix, b":", group].concat())
}

/// Returns a key in the same slot of a cluster.
fn in_same_slot(stream: &[u8], suffix: &[u8]) -> Box<[u8]> {
    let is_whole = hashed(stream).len() == stream.len();
    let key = if !is_whole {
        [stream, suffix].concat()
    } else if stream.contains(&b'}') {
        // No tag can contain this name. A number has the same slot: there are 16,384 of them.
        let slot = slot(stream);
        let tag =
            (0_u64..).map(|tag| tag.to_string()).find(|tag| self::slot(tag.as_bytes()) == slot);
        [b"{", tag.unwrap_or_default().as_bytes(), b"}", stream, suffix].concat()
    } else {
        [b"{", stream, b"}", suffix].concat()
    };
    key.into()
}

/// Returns the part of a key from which its slot follows: what is between the first `{` and the
/// first `}` after it, unless that is empty; otherwise the whole key.
fn hashed(key: &[u8]) -> &[u8] {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let len = rest.iter().position(|byte| *byte == b'}').filter(|len| *len > 0)?;
        rest.get(..len)
    });
    tag.unwrap_or(key)
}

/// Returns the slot of a key in a cluster: CRC16 (XMODEM) modulo 16,384.
fn slot(key: &[u8]) -> u16 {
    let crc = hashed(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_key_is_in_the_slot_of_the_stream() {
        let rows = [
            ("email:tasks", "{email:tasks}:dlq"),
            ("{email}:tasks", "{email}:tasks:dlq"),
            ("a{b}c{d}", "a{b}c{d}:dlq"),
            ("a{", "{a{}:dlq"),
            ("a}b", "{20658}a}b:dlq"),
            ("{}x", "{19354}{}x:dlq"),
        ];
        assert_eq!((slot(b"123456789"), slot(b"a{foo}"), slot(b"foo")), (12_739, 12_182, 12_182));
        for (stream, expected) in rows {
            assert_eq!(
                in_same_slot(stream.as_bytes(), b":dlq"),
                expected.as_bytes().into(),
                "{stream}"
            );
            assert_eq!(slot(expected.as_bytes()), slot(stream.as_bytes()), "{stream}");
        }
    }

    #[test]
    fn each_group_has_its_own_dead_letter_key_by_default() {
        let key = |settings: &Settings| {
            String::from_utf8(settings.dead_letter.clone().unwrap_or_default().into())
                .expect("text")
        };
        let mut settings = Settings::new(b"orders");
        assert_eq!(key(&settings), "{orders}:dlq");
        settings.set_group(b"billing");
        assert_eq!(key(&settings), "{orders}:dlq:billing");
        settings.set_group(b"workers");
        assert_eq!(key(&settings), "{orders}:dlq");
        settings.set_dead_letter(Some(b"dead"));
        settings.set_group(b"billing");
        assert_eq!(key(&settings), "dead");
        settings.set_dead_letter(None);
        settings.set_group(b"mail");
        assert_eq!(settings.dead_letter, None);
    }

    #[test]
    fn each_group_has_its_own_wheel() {
        let keys = |settings: &Settings| {
            [settings.waiting_key(1), settings.rung_key(1), settings.mover_key()]
                .map(|key| String::from_utf8(key).expect("text"))
        };
        let mut settings = Settings::new(b"orders");
        let expected =
            ["{orders}:delay:jobs:1h", "{orders}:delay:after:1500", "{orders}:delay:mover"];
        assert_eq!(keys(&settings), expected);
        settings.set_group(b"billing");
        assert_eq!(keys(&settings)[2], "{orders}:delay:billing:mover");
        // The stream, its dead letters, four streams of jobs, 37 of timers, the mover, the turn, the
        // one for those that stand aside, and the recurring jobs.
        assert_eq!(settings.keys().len(), 47);
    }

    #[test]
    fn invalid_settings_are_detected() {
        let with = |change: &dyn Fn(&mut Settings)| {
            let mut settings = Settings::new(b"s");
            change(&mut settings);
            settings.wrong(Window::LEAST).is_some()
        };
        let dedupe = |seconds, ids| Some(Window { time: Duration::from_secs(seconds), ids });
        assert!(!with(&|_| {}));
        assert!(with(&|s| s.group = Box::default()));
        assert!(with(&|s| s.stream = Box::default()));
        assert!(with(&|s| s.dead_letter = Some(b"s"[..].into())));
        assert!(with(&|s| s.letters.most = Some(0)) && !with(&|s| s.letters.most = Some(1)));
        assert!(with(&|s| s.letters.age = Some(Duration::ZERO)));
        assert!(with(&|s| s.lease = Duration::from_millis(99)));
        assert!(with(&|s| s.lease = Duration::MAX));
        assert!(
            !with(&|s| s.dedupe = dedupe(100, 100))
                && !with(&|s| s.dedupe = dedupe(86_400, 10_000))
        );
        assert!(with(&|s| s.dedupe = dedupe(99, 100)) && with(&|s| s.dedupe = dedupe(100, 99)));
        assert!(
            with(&|s| s.dedupe = dedupe(86_401, 100)) && with(&|s| s.dedupe = dedupe(100, 10_001))
        );
        let mut settings = Settings::new(b"s");
        settings.dedupe = dedupe(300, 300);
        for (seconds, ids, is_wrong) in [(300, 300, false), (301, 300, true), (300, 301, true)] {
            let needed = Window { time: Duration::from_secs(seconds), ids };
            assert_eq!(settings.wrong(needed).is_some(), is_wrong, "{needed:?}");
        }
    }
}
