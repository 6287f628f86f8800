//! Commands that need a connection of their own. No I/O.
//!
//! Some commands hold their connection up or change it: WAIT, AUTH, HELLO, CLIENT SETNAME. Others must not be concerned, so
//! [`Client::send`](crate::Client::send) does not compile with them; a [`Reader`](crate::Reader) takes them, and whatever
//! else is a [`Command`].
//!
//! The trait's items have names of their own, for every [`Command`] has both traits, and `command.args(..)` is to mean one
//! thing. One trait below both would have users of `Command` import two.

use super::{Block, Command, words};
use crate::resp::{Args, DecodeError, Frame, Measure, Writer};
use crate::server::Features;

/// A command for a [`Reader`](crate::Reader)'s own connection: any [`Command`], and those that block or change the
/// connection they are sent on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent on a reader's connection",
    note = "a read that blocks is for `Reader::read`"
)]
pub trait DedicatedCommand: sealed::Sealed {
    /// The command's name.
    const DEDICATED_NAME: &'static str;

    /// What the command answers with.
    type DedicatedReply;

    /// Lists the arguments behind the name.
    fn dedicated_args(&self, out: &mut impl Args);

    /// Reads the reply. Error replies never come here.
    ///
    /// # Errors
    ///
    /// The reply is not of the shape that this command answers with.
    fn dedicated_reply(frame: Frame) -> Result<Self::DedicatedReply, DecodeError>;

    /// How long the server may take before it answers; `None` if it answers at once.
    fn dedicated_waits(&self) -> Option<Block> {
        None
    }

    /// What of it not every server has.
    fn dedicated_needs(&self) -> Features {
        Features::NONE
    }

    /// What must not stand in an error: a password among the arguments.
    fn dedicated_secret(&self) -> Option<&[u8]> {
        None
    }

    /// Why the command may not be sent; `None` if it may.
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

    fn dedicated_reply(frame: Frame) -> Result<C::Reply, DecodeError> {
        C::reply(frame)
    }

    fn dedicated_needs(&self) -> Features {
        self.needs()
    }

    fn dedicated_refused(&self) -> Option<&'static str> {
        self.refused()
    }
}

/// Lists the whole request, name first.
pub(crate) fn dedicated_request<C: DedicatedCommand>(command: &C, out: &mut impl Args) {
    words(C::DEDICATED_NAME, false, out);
    command.dedicated_args(out);
}

/// The request of a command for a connection of one's own, alone: what goes over the wire.
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
