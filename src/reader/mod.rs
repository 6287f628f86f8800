//! Reader: blocking reads on a socket of its own; Tail: a stream of entries with the cursor kept.

mod tail;

pub use tail::Tail;

use crate::command::{Block, BlockingCommand};
use crate::config::Config;
use crate::connection::{
    Asked, Connection, Dialler, Enqueue, Failure, Patience, Replies, Request, Shared, Size, Ticket,
    error,
};
use crate::entry::Streams;
use crate::error::{Disconnect, Error, ServerError, Unsent};
use crate::resp::{Args, Measure, Writer};
use crate::server::{Features, Server};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

/// Reads that wait for entries, on a connection that nobody else uses.
///
/// It reconnects as a [`Client`](crate::Client) does. One read is under way at a time; when it is dropped, its reply is
/// kept for the next one.
///
/// Dropping the reader closes its connection at once. What the server handed out to a group in that moment stays pending
/// and is read again with [`GroupFrom::Pending`](crate::GroupFrom::Pending).
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    grace: Duration,
    under_way: Option<UnderWay>,
}

/// A read whose reply has not been taken.
#[derive(Debug)]
struct UnderWay {
    ticket: Ticket<Arc<Shared>>,
    command: &'static str,
    needs: Features,
    waited: Duration,
}

impl Reader {
    pub(crate) async fn open(config: Arc<Config>, dialler: Dialler) -> Result<Self, Error> {
        let grace = config.block_grace;
        let connection = Connection::open(config, dialler).await?;
        Ok(Self { connection, grace, under_way: None })
    }

    /// Reads: [`XRead`](crate::XRead) or [`XReadGroup`](crate::XReadGroup), with `.block()` or without. No entries when the
    /// time of the block is over.
    ///
    /// The deadline is the block's time and the settings' grace; without a block it is the command timeout. When it passes,
    /// the connection is given up and another one made: that is an error, and never reads as "no entries".
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: the read goes on, and the next call returns its reply first, whatever
    /// command that call was given. If that reply has no entries, the command is sent as usual.
    ///
    /// # Errors
    ///
    /// As [`Client::send`](crate::Client::send). When a group read's outcome is unknown, the server may have handed out
    /// entries that never arrived; they are pending for the consumer and can be read by id.
    pub async fn read<C: BlockingCommand>(&mut self, command: C) -> Result<Streams, Error> {
        if self.under_way.is_some() {
            let streams = self.finish().await?;
            if !streams.is_empty() {
                return Ok(streams);
            }
        }
        let patience = match command.waits() {
            None => Patience::Usual,
            Some(Block::For(wait)) => Patience::For(wait.saturating_add(self.grace)),
            Some(Block::Forever) => Patience::Endless,
        };
        let request = Read(command);
        let mut enqueue = Enqueue::new(Arc::clone(self.connection.shared()), patience);
        let waited = enqueue.waited();
        let queued = poll_fn(|cx| enqueue.poll(&request, cx)).await;
        let ticket = queued.map_err(|reason| Error::Unsent { command: C::READ, reason })?;
        let needs = request.0.read_needs();
        self.under_way = Some(UnderWay { ticket, command: C::READ, needs, waited });
        self.finish().await
    }

    /// Whether a read was dropped whose reply the next one will return.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Who answers, as [`Client::server`](crate::Client::server) says it.
    #[must_use]
    pub fn server(&self) -> Option<Arc<Server>> {
        self.connection.shared().server()
    }

    /// The connection's id at the server, as CLIENT UNBLOCK takes it. `None` if the server does not say it (before Redis
    /// 6.0).
    #[must_use]
    pub fn connection_id(&self) -> Option<i64> {
        self.connection.shared().server_id()
    }

    /// Waits for the reply that is under way.
    async fn finish(&mut self) -> Result<Streams, Error> {
        let Some(under_way) = &mut self.under_way else { return Ok(Streams::default()) };
        let (replies, failure) = poll_fn(|cx| under_way.ticket.poll(cx)).await;
        let UnderWay { command, needs, waited, .. } = *under_way;
        self.under_way = None;
        if matches!(failure, Some(Failure::TimedOut)) {
            self.connection.shared().kill(Disconnect::Silent);
        }
        match (replies, failure) {
            (Replies::One(frame), None) => match frame.error() {
                Some(text) => {
                    let refusal = ServerError::new(command, text);
                    let shared = self.connection.shared();
                    Err(Error::refusal(refusal, needs, || shared.server()))
                }
                None => Streams::decode(frame).map_err(|source| Error::Decode { command, source }),
            },
            (_, failure) => Err(error(command, failure, waited)),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A read that blocks would keep the connection, and entries would go to nobody.
        self.connection.shared().kill(Disconnect::Closed);
    }
}

struct Read<C>(C);

impl<C: BlockingCommand> Read<C> {
    fn list(&self, out: &mut impl Args) {
        out.text(C::READ);
        self.0.read_args(out);
    }

    fn measure(&self) -> Measure {
        let mut measure = Measure::default();
        self.list(&mut measure);
        measure
    }
}

impl<C: BlockingCommand> Request for Read<C> {
    type Output = ();

    fn size(&self) -> Result<Size, Unsent> {
        Ok(Size { replies: 1, bytes: self.measure().request_bytes() })
    }

    fn write(&self, out: &mut Vec<u8>) -> bool {
        let measure = self.measure();
        let mut writer = Writer::begin(out, &measure);
        self.list(&mut writer);
        writer.count() == measure.count
    }

    fn finish(&self, _: Replies, _: Option<Failure>, _: Duration, _: Asked<'_>) {}
}
