//! Blocking reads on a dedicated connection, and streams of entries: as they are added ([`Tail`]),
//! and of a range ([`RangeStream`]).

mod page_size;
mod pages;
mod range;
mod read;
mod send;
mod tail;

pub use range::RangeStream;
pub use read::Reading;
pub use send::DedicatedSending;
pub use tail::Tail;

use crate::cluster::{Link, Opener, Way};
use crate::command::{self, Block, BlockingCommand, DedicatedCommand, Safety};
use crate::connection::{
    Attempts, Events, Failed, Failure, Patience, Replies, Request, ServerLookup, Shared, Size,
    Ticket, error, sendable, without_asking,
};
use crate::entry::Streams;
use crate::error::{Code, Disconnect, Error, Refusal, ServerError, Unsent};
use crate::random;
use crate::resp::{Args, Frame, Measure, Writer};
use crate::server::{Features, Server};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Reads that wait for entries, on a dedicated connection.
///
/// It reconnects as a [`Client`](crate::Client) does. One read is in flight at a time. When its
/// future is dropped, the reply is kept for the next read.
///
/// Dropping the reader closes its connection at once. Entries that the server delivered to a group
/// at that moment stay pending. They are read again with
/// [`GroupFrom::Pending`](crate::GroupFrom::Pending).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{GroupFrom, XAck, XReadGroup};
/// use std::time::Duration;
///
/// let mut reader = client.reader().await?;
/// loop {
///     let read = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New);
///     for entry in reader.read(read.block(Duration::from_secs(5))).await?.iter() {
///         println!("{}", entry.id());
///         client.send(XAck::new("orders", "billing", entry.id())).await?;
///     }
/// #   if false { break }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Reader {
    link: Link,
    /// The connection of the last request: in a cluster, to the node of its keys.
    shared: Arc<Shared>,
    grace: Duration,
    in_flight: Option<InFlightRead>,
}

/// A read whose reply has not been taken.
#[derive(Debug)]
struct InFlightRead {
    ticket: Ticket<Arc<Shared>>,
    command: &'static str,
    needs: Features,
    safety: Safety,
    waited: Duration,
    /// Its first reply is that to ASKING.
    asking: bool,
}

impl Reader {
    pub(crate) async fn open(opener: &Opener) -> Result<Self, Error> {
        let config = Arc::new(opener.config.for_reader());
        let grace = config.block_grace;
        let link = opener.open(config, Patience::Endless).await?;
        let shared = Arc::clone(link.any());
        Ok(Self { link, shared, grace, in_flight: None })
    }

    /// Returns its connections, for a transaction.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    fn repeats(&self) -> bool {
        self.shared.repeats()
    }

    /// Chooses the connection for keys of this slot. Without one it stays as it is.
    fn choose(&mut self, slot: Option<u16>) {
        if let (Some(cluster), Some(_)) = (self.link.cluster(), slot) {
            self.shared = Arc::clone(cluster.connection(slot));
        }
    }

    /// Returns how a request continues that a node of a cluster refused, after `hops` redirects.
    fn redirected(&self, error: &ServerError, hops: u8) -> Option<Way> {
        self.link.cluster()?.redirected(&self.shared, error, hops)
    }

    /// Returns when to retry after an error, if a retry is allowed and may succeed.
    fn again(
        &self,
        error: &Error,
        attempts: &mut Attempts,
        safety: Safety,
        deadline: Option<Instant>,
    ) -> Option<Instant> {
        if !self.repeats() {
            return None;
        }
        let shared = &self.shared;
        let again = match error {
            Error::Lost { reason, .. } => attempts.lost(reason, safety, random::fraction()),
            Error::Server(error) => attempts.refused(error, random::fraction()),
            _ => None,
        }?;
        let at = again.at(Instant::now().into_std(), deadline.map(Instant::into_std))?;
        if again.elsewhere {
            // The connection is not shared, so the error refers to the current one.
            shared.leave(Disconnect::Stale);
        }
        Some(Instant::from_std(at))
    }

    /// Whether a read was dropped whose reply the next read returns.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Returns the server's flavour, version and features, as
    /// [`Client::server`](crate::Client::server) does.
    #[must_use]
    pub fn server(&self) -> Option<Arc<Server>> {
        self.shared.server().or_else(|| self.link.server())
    }

    /// Returns the connection's id at the server, as CLIENT UNBLOCK takes it. `None` if the server
    /// does not report it (before Redis 6.0), and in a cluster.
    #[must_use]
    pub fn connection_id(&self) -> Option<i64> {
        self.link.server_id()
    }

    /// Returns the state changes of the reader's connection, as
    /// [`Client::events`](crate::Client::events) does.
    #[must_use]
    pub fn events(&self) -> Events {
        self.link.events()
    }

    /// Waits for the reply of the read in flight; empty if there is none.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<Streams, Error>> {
        let Some(in_flight) = &mut self.in_flight else {
            return Poll::Ready(Ok(Streams::default()));
        };
        let mut came = ready!(in_flight.ticket.poll(cx));
        let InFlightRead { command, needs, safety, waited, asking, .. } = *in_flight;
        if asking {
            came.0 = without_asking(came.0);
        }
        self.in_flight = None;
        let meaning = Meaning { refusal: Refusal::NotApplied, needs, safety };
        let frame = self.settle(command, meaning, None, waited, came)?;
        Poll::Ready(Streams::decode(frame).map_err(|source| Error::Decode { command, source }))
    }

    fn patience(&self, waits: Option<Block>) -> Patience {
        match waits {
            None => Patience::Usual,
            Some(Block::For(wait)) => Patience::For(wait.saturating_add(self.grace)),
            Some(Block::Forever) => Patience::Endless,
        }
    }

    /// Returns the reply, or why there is none. Closes the connection of an overdue server, unless
    /// a read is in flight.
    fn settle(
        &self,
        command: &'static str,
        Meaning { refusal, needs, safety }: Meaning,
        secret: Option<&[u8]>,
        waited: Duration,
        (replies, failure): (Replies, Failed),
    ) -> Result<Frame, Error> {
        let shared = &self.shared;
        let reading = self.in_flight.as_ref().is_some_and(|read| !read.ticket.is_settled());
        let overdue = matches!(failure.as_deref(), Some(Failure::TimedOut { owed: true, .. }));
        if overdue && !reading {
            shared.kill(Disconnect::Silent);
        }
        match (replies, failure) {
            (Replies::Single(frame), None) => match frame.error() {
                Some(text) => {
                    let error = ServerError::without(secret, command, text).meaning(refusal);
                    if *error.code() == Code::ReadOnly {
                        // Also where nothing is sent again: later commands need the master.
                        shared.leave(Disconnect::Stale);
                    }
                    Err(Error::refusal(error, needs, || shared.server()))
                }
                None => Ok(frame),
            },
            (_, failure) => Err(error(command, failure, waited, (safety, 0))),
        }
    }
}

/// The meaning of the errors of a command.
struct Meaning {
    refusal: Refusal,
    needs: Features,
    safety: Safety,
}

/// Returns the error to report for an attempt. If it was not sent, but an earlier attempt was lost,
/// that one may have run.
fn conclude(error: Error, lost: Option<Error>) -> Error {
    match (error, lost) {
        (Error::Unsent { .. }, Some(lost)) => lost,
        (error, _) => error,
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A read that blocks would keep the connection open, and its entries would be lost to this
        // process.
        self.link.kill();
    }
}

/// A command that a reader sends: its arguments, name first, and the reason to refuse it, if any.
trait Listed {
    fn list(&self, out: &mut impl Args);

    fn refused(&self) -> Option<&'static str> {
        None
    }
}

/// A read, and the time that is left of its BLOCK when it is sent again.
struct Read<C>(C, Option<Duration>);

impl<C: BlockingCommand> Listed for Read<C> {
    fn list(&self, out: &mut impl Args) {
        command::read_request(&self.0, self.1, out);
    }
}

struct Dedicated<'c, C>(&'c C);

impl<C: DedicatedCommand> Listed for Dedicated<'_, C> {
    fn list(&self, out: &mut impl Args) {
        command::dedicated_request(self.0, out);
    }

    fn refused(&self) -> Option<&'static str> {
        self.0.dedicated_refused()
    }
}

impl<L: Listed> Request for L {
    type Output = ();
    type Measure = Measure;

    fn measure(&self) -> Result<(Size, Measure), Unsent> {
        let mut measure = Measure::default();
        self.list(&mut measure);
        Ok((sendable(self.refused(), &measure)?, measure))
    }

    fn write(&self, measure: &Measure, out: &mut Vec<u8>) -> bool {
        let mut writer = Writer::begin(out, measure);
        self.list(&mut writer);
        writer.count() == measure.count
    }

    fn finish(&self, _: Replies, _: Failed, _: Duration, _: ServerLookup<'_>) {}
}
