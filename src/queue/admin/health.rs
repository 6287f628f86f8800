//! Health: problems of a queue. An operation.

use crate::command::{XInfoGroups, XPendingRange};
use crate::error::{Code, Error};
use crate::queue::admin::stats::stats;
use crate::queue::error::QueueError;
use crate::queue::settings::{OPERATORS, Retention};
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
    /// abandoned, dead letters, a missing group, a server that may evict the stream
    /// (`maxmemory-policy`, where CONFIG GET is allowed).
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

/// A consumer that reads is active within this time, whatever its lease.
const SILENT: Duration = Duration::from_secs(15);

/// Whether the server counts a read without a result as activity of the consumer.
fn counts_reads(shared: &Shared) -> bool {
    shared.client.server().is_some_and(|server| match server.flavour() {
        Flavour::Redis => server.version() >= Version::new(7, 2, 0),
        Flavour::Valkey => true,
        Flavour::Other => false,
    })
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
    let groups = shared.client.send(XInfoGroups::new(stream)).await?;
    let readers = groups.iter().filter(|info| info.name != OPERATORS.as_bytes()).count();
    if settings.retention == Retention::DeleteOnAck && readers > 1 {
        wrong.push("another group reads it, whose entries are deleted".into());
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
