//! Health: problems of a queue. An operation.

use crate::command::XPendingRange;
use crate::error::{Code, Error};
use crate::queue::admin::stats::stats;
use crate::queue::error::QueueError;
use crate::queue::other_groups::OtherGroup;
use crate::queue::policy::retention_kind::RetentionKind;
use crate::queue::policy::window::Window;
use crate::queue::shared::{Queue, Shared};
use crate::server::{Flavour, Version};
use std::time::Duration;

/// The health of a queue.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Health;
///
/// if let Health::Degraded(reasons) = queue.health().await? {
///     println!("not healthy: {}", reasons.join("; "));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// No problem was found.
    Ok,
    /// Problems were found: a description of each.
    Degraded(Vec<String>),
}

impl<T: 'static> Queue<T> {
    /// Checks the queue for problems: no consumer that is active, jobs that wait too long or are
    /// abandoned, dead letters, a missing group, other groups with another retention, a stream that
    /// forgets ids too soon
    /// ([`QueueEvent::ShortDedupeWindow`](crate::queue::QueueEvent::ShortDedupeWindow)), a server that
    /// may evict the stream (`maxmemory-policy`, where CONFIG GET is allowed).
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`] if a command fails. Returns [`Health::Degraded`] at once if there is
    /// no connection.
    pub async fn health(&self) -> Result<Health, QueueError> {
        health(self.shared()).await
    }
}

/// The number of leases that a job may wait or be pending before this is reported.
const LATE: u32 = 10;

/// A consumer that reads is active within this time, whatever its lease: a read blocks for 5 s.
const SILENT: Duration = Duration::from_secs(7);

/// Whether the server counts a read without a result as activity of the consumer.
fn counts_reads(shared: &Shared) -> bool {
    shared.client.server().is_some_and(|server| match server.flavour() {
        Flavour::Redis => server.version() >= Version::new(7, 2, 0),
        Flavour::Valkey => true,
        Flavour::Other => false,
    })
}

/// Describes what two groups of the stream do to each other.
fn conflict(shared: &Shared, other: &OtherGroup) -> Option<String> {
    let (retention, name) = (shared.settings.retention, other.name());
    // Whether a group that deletes leaves what another has not acknowledged.
    let acked = shared.capabilities().ack_del;
    let mut text = match other.differs(retention.kind()) {
        Some(kind) => format!("another group, {name}, has another retention: {kind}"),
        None if retention.deletes() => format!("another group, {name}, reads the stream"),
        None => return None,
    };
    text.push_str(match (retention.kind(), other.kind) {
        (RetentionKind::Delete | RetentionKind::Keep, Some(RetentionKind::Lossy)) => {
            "; this group loses entries that it trims"
        }
        (RetentionKind::Delete, _) if acked => "; entries stay until it has acknowledged them",
        (RetentionKind::Delete | RetentionKind::Lossy, _) => "; it loses entries that are deleted",
        (RetentionKind::Keep, _) if acked => "",
        (RetentionKind::Keep, _) => "; this group loses entries that it deletes",
    });
    Some(text)
}

/// Describes a window in which jobs are sent again and not recognised.
fn short_window(found: Option<Window>) -> String {
    let found = found.map(|Window { time, ids }| format!("{time:?} and {ids} ids"));
    let found = found.as_deref().unwrap_or("an unknown window");
    format!(
        "jobs are added without IDMP: the stream remembers them for {found}, and XCFGSET is refused"
    )
}

/// Checks the queue for problems.
pub(crate) async fn health(shared: &Shared) -> Result<Health, QueueError> {
    let settings = &shared.settings;
    if !shared.client.is_connected() {
        // A command would wait for a connection until its deadline.
        return Ok(Health::Degraded(vec!["there is no connection to the server".into()]));
    }
    let mut wrong = Vec::new();
    let stats = match stats(shared).await {
        Ok(stats) => stats,
        Err(error) if error.code() == Some(&Code::NoGroup) => {
            return Ok(Health::Degraded(vec!["the stream or the group is not there".into()]));
        }
        Err(QueueError::Redis(Error::Server(error))) if *error.code() == Code::Err => {
            return Ok(Health::Degraded(vec!["the stream is not there".into()]));
        }
        Err(error) => return Err(error),
    };
    let late = settings.lease * LATE;
    if let Some(age) = stats.oldest_ready_age().filter(|age| *age > late) {
        wrong.push(format!("a job has been waiting for {age:?}"));
    }
    let jobs = stats.ready != Some(0) || stats.waiting_retry > 0 || stats.in_flight > 0;
    match stats.consumers.iter().map(|consumer| consumer.idle).min() {
        None if jobs => wrong.push("no consumer reads the queue".into()),
        // A consumer with jobs sends heartbeats, and one without reads at least every 5 s. Before
        // Redis 7.2 a read without a result does not count.
        Some(idle) if idle > (settings.lease * 2).max(SILENT) && (jobs || counts_reads(shared)) => {
            wrong.push(format!("no consumer has been active for {idle:?}"));
        }
        _ => {}
    }
    // Heartbeats come every third of a lease: an entry that is idle for longer than a lease is
    // abandoned.
    let (stream, group) = (&*settings.stream, &*settings.group);
    if let Some(oldest) = stats.oldest_pending {
        let oldest = XPendingRange::new(stream, group, oldest..=oldest, 1);
        let idle = shared.client.send(oldest).await?.first().and_then(|entry| entry.idle);
        if let Some(idle) = idle.filter(|idle| *idle > settings.lease * 2) {
            wrong.push(format!("a pending job has been idle for {idle:?}"));
        }
    }
    if stats.dead > 0 {
        wrong.push(format!("there are {} dead letters", stats.dead));
    }
    for other in shared.other_groups().await? {
        wrong.extend(conflict(shared, &other));
    }
    if shared.has_short_window() {
        wrong.push(short_window(shared.window().await?));
    }
    if let Some(policy) = shared.evicting().await {
        wrong.push(format!("the server may evict the stream: its maxmemory-policy is {policy}"));
    }
    Ok(if wrong.is_empty() { Health::Ok } else { Health::Degraded(wrong) })
}

/// As `{"status": "ok", "problems": []}`.
#[cfg(feature = "serde")]
impl serde::Serialize for Health {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let (status, problems) = match self {
            Self::Ok => ("ok", [].as_slice()),
            Self::Degraded(problems) => ("degraded", problems.as_slice()),
        };
        let mut out = serializer.serialize_struct("Health", 2)?;
        out.serialize_field("status", status)?;
        out.serialize_field("problems", problems)?;
        out.end()
    }
}
