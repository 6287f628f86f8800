//! Blocking reads, which only a reader can send. No I/O.

use super::{Command, Safety};
use crate::entry::Streams;
use crate::resp::{Args, DecodeError, Frame, Measure, Writer};
use crate::server::Features;
use std::time::Duration;

/// The maximum time that a read waits for entries.
///
/// ```
/// use bourn::{Block, BlockingCommand, ReadFrom, XRead};
/// use std::time::Duration;
///
/// let read = XRead::new().stream("orders", ReadFrom::End).block(Duration::from_secs(5));
/// assert_eq!(read.waits(), Some(Block::For(Duration::from_secs(5))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Block {
    /// At most this long, rounded up to a millisecond; at least one millisecond.
    For(Duration),
    /// No time limit.
    Forever,
}

impl Block {
    /// Returns the time limit; `None` for no limit.
    #[cfg(feature = "tokio")]
    pub(crate) fn time(self) -> Option<Duration> {
        if let Self::For(wait) = self { Some(wait) } else { None }
    }

    /// Returns the argument of BLOCK: milliseconds, where 0 means no limit.
    pub(crate) fn ms(self) -> u64 {
        match self {
            Self::Forever => 0,
            Self::For(wait) => {
                let ms = wait.as_nanos().div_ceil(1_000_000).max(1);
                // The server reads a signed number and adds the current time to it.
                u64::try_from(ms).unwrap_or(MAX_MS).min(MAX_MS)
            }
        }
    }
}

/// About 140,000 years: more would overflow in the server's addition.
const MAX_MS: u64 = 1 << 52;

/// A read that can be made blocking.
pub(crate) trait Blockable: Command<Reply = Streams> {
    fn args_with(&self, block: Option<Block>, out: &mut impl Args);
}

impl<C: Blockable> Blockable for &C {
    fn args_with(&self, block: Option<Block>, out: &mut impl Args) {
        C::args_with(self, block, out);
    }
}

/// A blocking read: [`XRead`](super::XRead) or [`XReadGroup`](super::XReadGroup) with `.block()`.
///
/// Only a [`Reader`](crate::Reader), which has its own connection, accepts it. On a shared
/// connection it would block the commands of other callers, so
/// [`Client::send`](crate::Client::send) does not compile with it:
///
/// ```compile_fail,E0277
/// # use bourn::{Client, Error, GroupFrom, XReadGroup};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let read = XReadGroup::new("workers", "worker-1").stream("jobs", GroupFrom::New);
/// client.send(read.block(Duration::from_secs(5))).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Blocking<C> {
    command: C,
    block: Block,
}

impl<C> Blocking<C> {
    pub(crate) fn new(command: C, block: Block) -> Self {
        Self { command, block }
    }
}

/// A read that a [`Reader`](crate::Reader) can send, blocking or not.
///
/// ```
/// use bourn::{BlockingCommand, GroupFrom, Reader, Streams, XReadGroup};
///
/// // A function for reads that block and reads that do not.
/// async fn read(reader: &mut Reader, command: impl BlockingCommand) -> Option<Streams> {
///     reader.read(command).await.ok()
/// }
/// # let _ = |mut reader: Reader| async move {
/// let new = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New);
/// read(&mut reader, new).await;
/// # };
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no read for a `Reader`",
    note = "a `Reader` takes `XRead` and `XReadGroup`, with `.block(..)` or without"
)]
pub trait BlockingCommand: sealed::Sealed {
    /// The command's name.
    const READ: &'static str;

    /// Lists the arguments after the name.
    fn read_args(&self, out: &mut impl Args);

    #[doc(hidden)]
    fn read_args_within(&self, left: Option<Duration>, out: &mut impl Args) {
        let _ = left;
        self.read_args(out);
    }

    /// Lists the keys of the streams, as [`Command::keys`] does.
    fn read_keys(&self, out: &mut impl Args);

    /// Returns how long the server may wait; `None` if it replies at once.
    fn waits(&self) -> Option<Block>;

    /// Returns the features that the read uses and that not every server has.
    fn read_needs(&self) -> Features;

    /// Returns the effect of running the read twice.
    fn read_safety(&self) -> Safety;

    /// Decodes the reply: no streams if the wait timed out.
    ///
    /// # Errors
    ///
    /// The reply does not have the shape that this command returns.
    fn read_reply(frame: Frame) -> Result<Streams, DecodeError> {
        Streams::decode(frame)
    }
}

/// Lists the whole request, name first. It waits for as long as is left, if that is less than its
/// BLOCK.
pub(crate) fn read_request<C: BlockingCommand>(
    read: &C,
    left: Option<Duration>,
    out: &mut impl Args,
) {
    out.text(C::READ);
    read.read_args_within(left, out);
}

/// Encodes a read, blocking or not, as the bytes of its request.
#[must_use]
pub fn encode_read<C: BlockingCommand>(read: &C) -> Vec<u8> {
    let mut measure = Measure::default();
    read_request(read, None, &mut measure);
    let mut out = Vec::new();
    read_request(read, None, &mut Writer::begin(&mut out, &measure));
    out
}

mod sealed {
    #[expect(unnameable_types, reason = "sealed: which commands block is known")]
    pub trait Sealed {}
    impl<C: super::Blockable> Sealed for C {}
    impl<C: super::Blockable> Sealed for super::Blocking<C> {}
    impl<C: super::Blockable> Sealed for &super::Blocking<C> {}
}

impl<C: Blockable> BlockingCommand for Blocking<C> {
    const READ: &'static str = C::NAME;

    fn read_args(&self, out: &mut impl Args) {
        self.read_args_within(None, out);
    }

    fn read_args_within(&self, left: Option<Duration>, out: &mut impl Args) {
        let block = match (self.block, left) {
            (Block::For(wait), Some(left)) => Block::For(wait.min(left)),
            (block, _) => block,
        };
        self.command.args_with(Some(block), out);
    }

    fn read_keys(&self, out: &mut impl Args) {
        self.command.keys(out);
    }

    fn waits(&self) -> Option<Block> {
        Some(self.block)
    }

    fn read_needs(&self) -> Features {
        self.command.needs()
    }

    fn read_safety(&self) -> Safety {
        self.command.safety()
    }
}

impl<C: Blockable> BlockingCommand for &Blocking<C> {
    const READ: &'static str = C::NAME;

    fn read_args(&self, out: &mut impl Args) {
        Blocking::read_args(self, out);
    }

    fn read_args_within(&self, left: Option<Duration>, out: &mut impl Args) {
        Blocking::read_args_within(self, left, out);
    }

    fn read_keys(&self, out: &mut impl Args) {
        Blocking::read_keys(self, out);
    }

    fn waits(&self) -> Option<Block> {
        Blocking::waits(self)
    }

    fn read_needs(&self) -> Features {
        Blocking::read_needs(self)
    }

    fn read_safety(&self) -> Safety {
        Blocking::read_safety(self)
    }
}

impl<C: Blockable> BlockingCommand for C {
    const READ: &'static str = C::NAME;

    fn read_args(&self, out: &mut impl Args) {
        self.args_with(None, out);
    }

    fn read_keys(&self, out: &mut impl Args) {
        self.keys(out);
    }

    fn waits(&self) -> Option<Block> {
        None
    }

    fn read_needs(&self) -> Features {
        self.needs()
    }

    fn read_safety(&self) -> Safety {
        self.safety()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::XRead;
    use crate::id::ReadFrom;

    #[test]
    fn block_time_is_rounded_up_and_zero_is_not_without_limit() {
        let rows = [
            (Block::For(Duration::ZERO), 1),
            (Block::For(Duration::from_nanos(1)), 1),
            (Block::For(Duration::from_millis(5)), 5),
            (Block::For(Duration::from_micros(5_001)), 6),
            (Block::For(Duration::MAX), MAX_MS),
            (Block::Forever, 0),
        ];
        for (block, ms) in rows {
            assert_eq!(block.ms(), ms, "{block:?}");
        }
    }

    #[test]
    fn read_that_is_sent_again_waits_for_the_time_that_is_left() {
        let text = |read: &Blocking<XRead<'_>>, left| {
            let mut out = Vec::new();
            let mut measure = Measure::default();
            read_request(read, left, &mut measure);
            read_request(read, left, &mut Writer::begin(&mut out, &measure));
            String::from_utf8(out).unwrap()
        };
        let ms = Duration::from_millis;
        let read = XRead::new().stream("s", ReadFrom::End);
        let (short, endless) = (read.clone().block(ms(500)), read.block_forever());
        for (left, expected) in [(None, "500"), (Some(ms(70)), "70"), (Some(ms(900)), "500")] {
            assert!(
                text(&short, left)
                    .contains(&format!("BLOCK\r\n${}\r\n{expected}\r\n", expected.len()))
            );
        }
        assert!(text(&endless, Some(ms(70))).contains("BLOCK\r\n$1\r\n0\r\n"));
    }
}
