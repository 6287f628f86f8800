//! The entries that wait for their group: in one line on a single server, in one for each slot of a
//! cluster.

use super::durability::{Counted, Durability};
use super::group::{Group, Replied, XADD, refusal};
use crate::cluster::{Link, Opener};
use crate::command::{DedicatedCommand, Safety, Wait, WaitAof};
use crate::connection::{Failed, Failure, error, runtime};
use crate::error::{Error, ServerError, Unsent};
use crate::resp::Frame;
use crate::server::Server;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// The maximum number of entries of a group, and of their bytes unless it is a single one.
const GROUP: usize = 1_024;
const GROUP_BYTES: usize = 1 << 20;

/// The maximum number of entries that wait.
const WAITING: usize = 16 * GROUP;

/// An entry that waits for its group.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) command: Vec<u8>,
    pub(super) durability: Durability,
    pub(super) until: Option<Instant>,
    /// The whole time that it has.
    pub(super) time: Duration,
    pub(super) reply: oneshot::Sender<Answer>,
    /// Its place among those that wait.
    pub(super) _room: OwnedSemaphorePermit,
}

/// The replies for one entry.
#[derive(Debug)]
pub(super) struct Answer {
    /// The reply to the XADD.
    pub(super) reply: Result<Frame, Error>,
    /// The result of the wait behind it.
    pub(super) waited: Result<Counted, Error>,
    pub(super) server: Option<Arc<Server>>,
}

/// The entries that wait, and the connection.
#[derive(Debug)]
pub(super) struct Waiting {
    opener: Opener,
    link: OnceLock<Link>,
    is_closed: AtomicBool,
    /// The entries of each slot that has a task.
    lines: Mutex<HashMap<Option<u16>, VecDeque<Pending>>>,
    room: Arc<Semaphore>,
}

impl Waiting {
    pub(super) fn new(opener: Opener) -> Self {
        let room = Arc::new(Semaphore::new(WAITING));
        Self {
            opener,
            link: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            lines: Mutex::default(),
            room,
        }
    }

    pub(super) fn command_timeout(&self) -> Duration {
        self.opener.config.command_timeout
    }

    /// Waits until there is room for one more entry, until this time; the whole time is `waited`.
    pub(super) async fn room(
        &self,
        until: Option<Instant>,
        waited: Duration,
    ) -> Result<OwnedSemaphorePermit, Unsent> {
        let room = Arc::clone(&self.room).acquire_owned();
        let room = match until {
            None => room.await,
            Some(until) => timeout_at(until, room)
                .await
                .map_err(|_| Unsent::TimedOut { waited, source: None })?,
        };
        room.map_err(|_| Unsent::Closed)
    }

    /// Adds an entry to those of its slot.
    pub(super) fn add(self: &Arc<Self>, slot: Option<u16>, pending: Pending) -> Result<(), Error> {
        let slot = slot.filter(|_| self.opener.config.cluster.is_some());
        let runtime = runtime(&self.opener.config)?;
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(&slot) {
            line.push_back(pending);
            return Ok(());
        }
        lines.insert(slot, VecDeque::from([pending]));
        drop(lines);
        runtime.spawn(Sending { waiting: Arc::clone(self), slot, is_over: false }.run());
        Ok(())
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Option<u16>, VecDeque<Pending>>> {
        // No code that runs under this lock can leave the lines inconsistent by a panic.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection, which is made in the background.
    fn link(&self) -> Result<&Link, Error> {
        if let Some(link) = self.link.get() {
            return Ok(link);
        }
        if self.is_closed.load(SeqCst) {
            return Err(Error::Unsent { command: XADD, reason: Unsent::Closed });
        }
        // Of two that are made at once, one is dropped before anything is sent.
        let opened = self.opener.open_lazy()?;
        let link = self.link.get_or_init(|| opened);
        if self.is_closed.load(SeqCst) {
            link.begin_close();
        }
        Ok(link)
    }

    /// Rejects new entries. Those on their way are finished.
    pub(super) fn begin_close(&self) {
        self.is_closed.store(true, SeqCst);
        if let Some(link) = self.link.get() {
            link.begin_close();
        }
    }

    /// Returns when the connection is closed.
    pub(super) async fn closed(&self) {
        if let Some(link) = self.link.get() {
            link.close().await;
        }
    }
}

/// The task that sends the entries of a slot.
struct Sending {
    waiting: Arc<Waiting>,
    slot: Option<u16>,
    is_over: bool,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            // The runtime has ended: these entries would never be sent.
            let left = self.waiting.lines().remove(&self.slot);
            drop(left);
        }
    }
}

impl Sending {
    /// Sends one group after the other, until none is left.
    async fn run(mut self) {
        while let Some(group) = self.take() {
            self.send(group).await;
        }
        self.is_over = true;
    }

    /// Takes the next group: entries with the same durability, in order. Without any, the task
    /// ends.
    fn take(&self) -> Option<Vec<Pending>> {
        let now = Instant::now();
        let mut lines = self.waiting.lines();
        let line = lines.get_mut(&self.slot)?;
        let (mut group, mut bytes) = (Vec::<Pending>::new(), 0);
        while let Some(next) = line.pop_front() {
            if next.reply.is_closed() {
                continue;
            }
            if next.until.is_some_and(|until| until <= now) {
                let reason = Unsent::TimedOut { waited: next.time, source: None };
                next.fail(Error::Unsent { command: XADD, reason });
                continue;
            }
            let is_alike = group.first().is_none_or(|first| first.durability == next.durability);
            bytes += next.command.len();
            if group.len() == GROUP || !group.is_empty() && (bytes > GROUP_BYTES || !is_alike) {
                line.push_front(next);
                break;
            }
            group.push(next);
        }
        if group.is_empty() {
            lines.remove(&self.slot);
            return None;
        }
        Some(group)
    }

    /// Sends a group, and gives each entry its answer.
    async fn send(&self, group: Vec<Pending>) {
        let link = match self.waiting.link() {
            Ok(link) => link,
            Err(error) => return group.into_iter().for_each(|entry| entry.fail(error.clone())),
        };
        let Some(first) = group.first() else { return };
        let (durability, time) = (first.durability, first.time);
        // Those with more time are sent again, if the group was not sent in this time.
        let until = group.iter().filter_map(|entry| entry.until).min();
        if durability.is_disk() && link.server().is_none() {
            // What the server can do must be known before anything is added. If it cannot be
            // reached, the call below says so.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let _ = link.ready(left.unwrap_or(Duration::MAX)).await;
        }
        if let Some(reason) = durability.refused_by(link.server().as_deref()) {
            let reason = Unsent::Refused { reason };
            let error = Error::Unsent { command: XADD, reason };
            return group.into_iter().for_each(|entry| entry.fail(error.clone()));
        }
        let adds = group.iter().map(|entry| entry.command.clone()).collect();
        let request = Group { slot: self.slot, adds, wait: durability.wait() };
        let Replied { adds, wait, failure } = link.call(request).until(until, time).await;
        let server = link.server();
        let waited = counted(durability, wait, &failure, time, server.as_ref());
        let is_unsent =
            matches!(failure.as_deref(), Some(Failure::Unsent(Unsent::TimedOut { .. })));
        let (now, count) = (Instant::now(), group.len() as u64);
        let have_run = adds.iter().any(|reply| refusal(reply).is_none());
        let (mut replies, mut again) = (adds.into_iter(), Vec::new());
        for (nth, entry) in (1..).zip(group) {
            let in_time = entry.until.is_none_or(|until| now < until);
            match replies.next() {
                // The slot moved in between: the next group is sent to its new node.
                Some(reply)
                    if have_run && in_time && self.slot.is_some() && refusal(&reply).is_some() =>
                {
                    again.push(entry);
                }
                None if is_unsent && in_time => again.push(entry),
                reply => {
                    let lost =
                        || error(XADD, failure.clone(), entry.time, (Safety::Write, count - nth));
                    let reply = reply.ok_or_else(lost);
                    let (waited, server) = (waited.clone(), server.clone());
                    // The caller may have dropped its future.
                    let _ = entry.reply.send(Answer { reply, waited, server });
                }
            }
        }
        if let Some(line) = self.waiting.lines().get_mut(&self.slot) {
            again.into_iter().rev().for_each(|entry| line.push_front(entry));
        }
    }
}

impl Pending {
    /// Answers that the entry was not added, or that this is not known.
    fn fail(self, error: Error) {
        let (reply, waited, server) = (Err(error.clone()), Err(error), None);
        // The caller may have dropped its future.
        let _ = self.reply.send(Answer { reply, waited, server });
    }
}

/// Returns the result of a wait.
fn counted(
    durability: Durability,
    reply: Option<Frame>,
    failure: &Failed,
    time: Duration,
    server: Option<&Arc<Server>>,
) -> Result<Counted, Error> {
    let (command, needs) = durability.named();
    let Some(frame) = reply else {
        return Err(error(command, failure.clone(), time, (Safety::Write, 0)));
    };
    if let Some(text) = frame.error() {
        let error = ServerError::new(command, text);
        return Err(Error::refusal(error, needs, || server.cloned()));
    }
    let counted = if durability.is_disk() {
        WaitAof::dedicated_reply(frame)
            .map(|reply| Counted { disk: reply.local, replicas: reply.replicas })
    } else {
        Wait::dedicated_reply(frame).map(|replicas| Counted { disk: false, replicas })
    };
    counted.map_err(|source| Error::Decode { command, source })
}
