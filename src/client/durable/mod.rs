//! Entries that are known to be kept: XADD, then WAIT or WAITAOF, on a connection of their own.
//!
//! A server counts the writes of one connection, and does not answer it meanwhile. So this
//! connection is not shared with other commands. The entries that are added while a wait is on its
//! way make up the next group: one request with all of them, and one wait behind them. What is
//! written and what is counted cannot be on two connections.

pub(super) mod closing;
mod durability;
mod group;
mod waiting;

pub use durability::{Durability, DurableError, Kept};

use super::Client;
use crate::command::{Command, XAdd, encode, slot_of};
use crate::connection::{decode, measure};
use crate::error::{Disconnect, Error, Repeat, Unsent};
use crate::id::EntryId;
use group::XADD;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use waiting::{Answer, Pending, Waiting};

/// Adds entries, and waits until replicas or disks have them: [`Client::durable`].
///
/// Entries that many tasks add at the same time are sent together, with one `WAIT` behind them.
/// Clones share the connection.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Durability, XAdd};
/// use std::time::Duration;
///
/// let durable = client.durable(Durability::replicas(2, Duration::from_millis(500)));
/// let kept = durable.add(XAdd::new("orders").field("sku", "A-7")).await?;
/// println!("{} is on {} replicas", kept.id, kept.replicas);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Durable {
    waiting: Arc<Waiting>,
    durability: Durability,
}

impl Client {
    /// Returns a handle that adds entries and waits until they are kept, on a connection of its
    /// own. That is opened when the first entry is added, and ends when the client is closed.
    ///
    /// Keep the handle, and clone it: each call of this method makes another connection.
    #[must_use]
    pub fn durable(&self, durability: Durability) -> Durable {
        let waiting = Arc::new(Waiting::new(self.opener.clone()));
        self.durables.add(&waiting, self.link.is_ended());
        Durable { waiting, durability }
    }
}

impl Durable {
    /// Returns a handle with another durability, on the same connection.
    #[must_use]
    pub fn with(&self, durability: Durability) -> Self {
        Self { waiting: Arc::clone(&self.waiting), durability }
    }

    /// Adds an entry: `XADD`, and `WAIT` or `WAITAOF` behind it.
    ///
    /// The deadline is the command timeout and the time of the [`Durability`]. Until then it waits
    /// for a connection that cannot be made.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before its first poll, the entry is not added. If it is dropped
    /// later, it may be added.
    ///
    /// # Errors
    ///
    /// [`DurableError::NotKept`] if the entry was added, and too few have it or it is not known how
    /// many do. [`DurableError::Redis`] if it was not added, or if that is not known. An
    /// [`XAdd::idmp`] is refused: the server writes nothing for an entry that it recognises, so a
    /// wait would say nothing about it.
    pub async fn add(&self, command: XAdd<'_>) -> Result<Kept, DurableError> {
        let kept = self.add_all([command]).await.pop();
        kept.unwrap_or_else(|| Err(lost().into()))
    }

    /// Adds several entries. Each has its own result, in order.
    ///
    /// # Cancel safety
    ///
    /// As [`Durable::add`], for each of them.
    pub async fn add_all<'a>(
        &self,
        commands: impl IntoIterator<Item = XAdd<'a>>,
    ) -> Vec<Result<Kept, DurableError>> {
        let commands = commands.into_iter().map(|command| {
            let reason = "a durable XADD must not have IDMP: for an entry that the server \
                          recognises it writes nothing, and a wait says nothing about that entry";
            if command.has_idmp() { Err(Unsent::Refused { reason }) } else { Ok(command) }
        });
        self.add_each(commands.collect()).await
    }

    /// Adds entries that may be numbered, each for the first time.
    pub(crate) async fn add_new<'a>(
        &self,
        commands: impl IntoIterator<Item = XAdd<'a>>,
    ) -> Vec<Result<Kept, DurableError>> {
        self.add_each(commands.into_iter().map(Ok).collect()).await
    }

    async fn add_each(
        &self,
        commands: Vec<Result<XAdd<'_>, Unsent>>,
    ) -> Vec<Result<Kept, DurableError>> {
        let time = self.waiting.command_timeout().saturating_add(self.durability.time);
        let until = Instant::now().checked_add(time);
        let mut waiting = Vec::with_capacity(commands.len());
        for command in commands {
            let command = match command {
                Ok(command) => command,
                Err(reason) => {
                    waiting.push(Err(Error::Unsent { command: XADD, reason }));
                    continue;
                }
            };
            let queued = self.queue(&command, (until, time)).await;
            waiting.push(queued.map(|answer| (command, answer)));
        }
        let mut results = Vec::with_capacity(waiting.len());
        for waiting in waiting {
            results.push(match waiting {
                Ok((command, answer)) => self.result(&command, answer.await.ok()),
                Err(error) => Err(error.into()),
            });
        }
        results
    }

    async fn queue(
        &self,
        command: &XAdd<'_>,
        (until, time): (Option<Instant>, Duration),
    ) -> Result<oneshot::Receiver<Answer>, Error> {
        let unsent = |reason| Error::Unsent { command: XADD, reason };
        measure(command).map_err(unsent)?;
        let slot = slot_of(|keys| command.keys(keys)).map_err(unsent)?;
        let _room = self.waiting.room(until, time).await.map_err(unsent)?;
        let (reply, answer) = oneshot::channel();
        let (command, durability) = (encode(command), self.durability);
        self.waiting.add(slot, Pending { command, durability, until, time, reply, _room })?;
        Ok(answer)
    }

    fn result(&self, command: &XAdd<'_>, answer: Option<Answer>) -> Result<Kept, DurableError> {
        // Without an answer, the runtime of the connection has ended.
        let Some(Answer { reply, server, waited }) = answer else { return Err(lost().into()) };
        let id: EntryId = decode(command, reply?, &|| server.clone())?;
        self.durability.result(id, waited)
    }
}

/// Returns the error of an entry whose connection's runtime has ended.
fn lost() -> Error {
    Error::Lost { command: XADD, reason: Disconnect::Closed, repeat: Repeat::UNSAFE }
}
