//! Commands that need a dedicated connection. No I/O.
//!
//! Some commands block their connection or change it: WAIT, AUTH, HELLO, CLIENT SETNAME. On a
//! shared connection they would affect the commands of other callers, so
//! [`Client::send`](crate::Client::send) does not compile with them. A [`Reader`](crate::Reader)
//! accepts them, and every [`Command`].
//!
//! The trait's items have distinct names: every [`Command`] implements both traits, and
//! `command.args(..)` must stay unambiguous. With a common supertrait users of `Command` would have
//! to import two traits.

use super::{Block, Command, Safety, unfit, words};
use crate::error::Refusal;
use crate::resp::{Args, DecodeError, Frame, Measure, Writer};
use crate::server::Features;

/// A command for the dedicated connection of a [`Reader`](crate::Reader): any [`Command`], or one
/// that blocks or changes its connection.
///
/// ```
/// use bourn::{Block, DedicatedCommand, Error, Reader, Wait};
/// use std::time::Duration;
///
/// // A function for commands that block or change a reader's connection.
/// async fn run<C: DedicatedCommand>(
///     reader: &mut Reader,
///     command: C,
/// ) -> Result<C::DedicatedReply, Error> {
///     reader.send(command).within(Duration::from_secs(2)).await
/// }
/// # let _ = |mut reader: Reader| async move {
/// run(&mut reader, Wait::new(1, Block::For(Duration::from_secs(1)))).await
/// # };
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent on a reader's connection",
    note = "a read that blocks is for `Reader::read`"
)]
pub trait DedicatedCommand: sealed::Sealed {
    /// The command's name.
    const DEDICATED_NAME: &'static str;

    /// The type of the reply.
    type DedicatedReply;

    /// Lists the arguments after the name.
    fn dedicated_args(&self, out: &mut impl Args);

    /// Lists the keys among the arguments, as [`Command::keys`] does. By default there are none.
    fn dedicated_keys(&self, out: &mut impl Args) {
        let _ = out;
    }

    /// Decodes the reply. Error replies are never passed here.
    ///
    /// # Errors
    ///
    /// The reply does not have the shape that this command returns.
    fn dedicated_reply(frame: Frame) -> Result<Self::DedicatedReply, DecodeError>;

    /// Returns the reply that an error reply counts as; `None` if it stays an error.
    fn dedicated_accepted(&self, error: &[u8]) -> Option<Self::DedicatedReply> {
        let _ = error;
        None
    }

    #[doc(hidden)]
    fn dedicated_reply_to(&self, frame: Frame) -> Result<Self::DedicatedReply, DecodeError> {
        Self::dedicated_reply(frame)
    }

    /// Returns the meaning of an error reply.
    fn dedicated_refusal(&self) -> Refusal {
        Refusal::NotApplied
    }

    /// Whether the command may be sent twice.
    fn dedicated_safety(&self) -> Safety {
        Safety::Write
    }

    /// Returns how long the server may wait before it replies; `None` if it replies at once.
    fn dedicated_waits(&self) -> Option<Block> {
        None
    }

    /// Returns the features that the command needs and that not every server has.
    fn dedicated_needs(&self) -> Features {
        Features::NONE
    }

    /// Returns the argument that must not appear in an error: a password.
    fn dedicated_secret(&self) -> Option<&[u8]> {
        None
    }

    /// Returns the reason why the command may not be sent; `None` if it may.
    fn dedicated_refused(&self) -> Option<&'static str> {
        None
    }
}

impl<C: Command> DedicatedCommand for C {
    const DEDICATED_NAME: &'static str = C::NAME;
    type DedicatedReply = C::Reply;

    fn dedicated_args(&self, out: &mut impl Args) {
        self.args(out);
    }

    fn dedicated_keys(&self, out: &mut impl Args) {
        self.keys(out);
    }

    fn dedicated_reply(frame: Frame) -> Result<C::Reply, DecodeError> {
        C::reply(frame)
    }

    fn dedicated_accepted(&self, error: &[u8]) -> Option<C::Reply> {
        self.accepted(error)
    }

    fn dedicated_reply_to(&self, frame: Frame) -> Result<C::Reply, DecodeError> {
        self.reply_to(frame)
    }

    fn dedicated_refusal(&self) -> Refusal {
        self.refusal()
    }

    fn dedicated_safety(&self) -> Safety {
        self.safety()
    }

    fn dedicated_needs(&self) -> Features {
        self.needs()
    }

    fn dedicated_refused(&self) -> Option<&'static str> {
        unfit::refused(self)
    }
}

/// Lists the whole request, name first.
pub(crate) fn dedicated_request<C: DedicatedCommand>(command: &C, out: &mut impl Args) {
    words(C::DEDICATED_NAME, false, out);
    command.dedicated_args(out);
}

/// Encodes a command for a dedicated connection as the bytes of its request.
#[must_use]
pub fn encode_dedicated<C: DedicatedCommand>(command: &C) -> Vec<u8> {
    let mut measure = Measure::default();
    dedicated_request(command, &mut measure);
    let mut out = Vec::new();
    dedicated_request(command, &mut Writer::begin(&mut out, &measure));
    out
}

pub(super) mod sealed {
    #[expect(unnameable_types, reason = "sealed: which commands need a connection is known")]
    pub trait Sealed {}
    impl<C: super::Command> Sealed for C {}
}
