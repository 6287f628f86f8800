//! Reads that a replica may answer. No I/O.

use super::listing::Listing;
use super::{Command, Safety};
use crate::error::Refusal;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::Features;

/// A command that only reads, and that a replica of a cluster can answer.
///
/// Implement it for a command of your own if replicas accept that command after READONLY.
///
/// A write has no `from_replica`:
///
/// ```compile_fail
/// use bourn::{ReadCommand, XAdd};
///
/// let add = XAdd::new("orders").field("sku", "A-7").from_replica();
/// # let _ = add;
/// ```
pub trait ReadCommand: Command + Sized {
    /// Sends the command to a replica of its slot, if it is sent with
    /// [`Client::send`](crate::Client::send) in a cluster.
    ///
    /// [`Config::replicas`](crate::Config::replicas) sets which replica. The reply is as old as the
    /// replication of that replica: mostly milliseconds, without a limit while its link to the
    /// master is down. Two reads in a row may be answered by two replicas, so the second may show
    /// less than the first. A key that has moved ahead of its slot is missing at a replica of the
    /// old master.
    ///
    /// The command goes to the master if there is no replica, if the replica cannot be reached, if
    /// it says that the slot has moved, or if it has not answered in half of the command's time.
    ///
    /// In [`Client::send_all`](crate::Client::send_all), in
    /// [`Client::transact`](crate::Client::transact) and without a cluster, also with sentinels, the
    /// command goes to the master.
    ///
    /// ```no_run
    /// # async fn f(client: &bourn::Client) -> Result<(), bourn::Error> {
    /// use bourn::{ReadCommand, XRange};
    ///
    /// let read = XRange::new("orders", ..).count(100).from_replica();
    /// for entry in client.send(read).await?.iter() {
    ///     println!("{}", entry.id());
    /// }
    /// # Ok(()) }
    /// ```
    #[expect(clippy::wrong_self_convention, reason = "it says where the read is sent to")]
    fn from_replica(self) -> FromReplica<Self> {
        const { assert!(matches!(Self::SAFETY, Safety::ReadOnly), "the command is no read") };
        FromReplica(self)
    }
}

/// A read that a replica may answer: [`ReadCommand::from_replica`].
#[derive(Debug, Clone)]
#[must_use = "a command does nothing until it is sent"]
pub struct FromReplica<C>(C);

impl<C: Command> Command for FromReplica<C> {
    const NAME: &'static str = C::NAME;
    const SAFETY: Safety = C::SAFETY;
    const REFUSAL: Refusal = C::REFUSAL;
    const LISTING: Listing = C::LISTING;
    const FROM_REPLICA: bool = true;
    type Reply = C::Reply;

    #[inline]
    fn args(&self, out: &mut impl Args) {
        self.0.args(out);
    }

    #[inline]
    fn reply(frame: Frame) -> Result<Self::Reply, DecodeError> {
        C::reply(frame)
    }

    #[inline]
    fn reply_to(&self, frame: Frame) -> Result<Self::Reply, DecodeError> {
        self.0.reply_to(frame)
    }

    fn accepted(&self, error: &[u8]) -> Option<Self::Reply> {
        self.0.accepted(error)
    }

    fn refusal(&self) -> Refusal {
        self.0.refusal()
    }

    fn keys(&self, out: &mut impl Args) {
        self.0.keys(out);
    }

    fn safety(&self) -> Safety {
        self.0.safety()
    }

    fn needs(&self) -> Features {
        self.0.needs()
    }

    fn refused(&self) -> Option<&'static str> {
        self.0.refused()
    }
}

mod reads {
    use super::ReadCommand;
    use crate::command::{
        Exists, Type, XInfoConsumers, XInfoGroups, XInfoStream, XInfoStreamFull, XLen, XPending,
        XPendingRange, XRange, XRead, XRevRange,
    };

    impl ReadCommand for Exists<'_> {}
    impl ReadCommand for Type<'_> {}
    impl ReadCommand for XInfoConsumers<'_> {}
    impl ReadCommand for XInfoGroups<'_> {}
    impl ReadCommand for XInfoStream<'_> {}
    impl ReadCommand for XInfoStreamFull<'_> {}
    impl ReadCommand for XLen<'_> {}
    impl ReadCommand for XPending<'_> {}
    impl ReadCommand for XPendingRange<'_> {}
    impl ReadCommand for XRange<'_> {}
    impl ReadCommand for XRead<'_> {}
    impl ReadCommand for XRevRange<'_> {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{XLen, XRange, encode};

    #[test]
    fn request_is_that_of_the_command() {
        let range = XRange::new("orders", ..).count(3);
        assert_eq!(encode(&range.clone().from_replica()), encode(&range));
        assert_eq!(FromReplica::<XLen<'_>>::NAME, "XLEN");
        const { assert!(<FromReplica<XLen<'_>> as Command>::FROM_REPLICA) };
        const { assert!(<&FromReplica<XLen<'_>> as Command>::FROM_REPLICA) };
        const { assert!(!<XLen<'_> as Command>::FROM_REPLICA) };
    }
}
