//! Redis commands: their arguments and their replies. No I/O.
//!
//! A command is a value: it lists its arguments ([`Command::args`]) and decodes its reply
//! ([`Command::reply`]). `new` takes the required arguments, in Redis's order. Each option is a
//! method with Redis's name for it. Options that are not set have the server's default. Arguments
//! are borrowed where they can be, and copied once, into the request.
//!
//! Every count, limit and length is a `u64`. Servers read a signed number and refuse more than
//! [`i64::MAX`] with [`Code::Err`](crate::Code::Err). Each method's docs say if 0 is refused or has
//! a special meaning.
//!
//! | command | type | Redis |
//! |---|---|---|
//! | XACK | [`XAck`] | 5.0 |
//! | XACKDEL | [`XAckDel`] | 8.2 |
//! | XADD | [`XAdd`], [`XAddNoMkStream`] | 5.0 |
//! | XAUTOCLAIM | [`XAutoClaim`], [`XAutoClaimJustId`] | 6.2 |
//! | XCFGSET | [`XCfgSet`] | 8.6 |
//! | XCLAIM | [`XClaim`], [`XClaimJustId`] | 5.0 |
//! | XDEL | [`XDel`] | 5.0 |
//! | XDELEX | [`XDelEx`] | 8.2 |
//! | XGROUP | [`XGroupCreate`], [`XGroupCreateIfMissing`], [`XGroupDestroy`], [`XGroupCreateConsumer`], [`XGroupDelConsumer`], [`XGroupSetId`], [`XGroupHelp`] | 5.0 |
//! | XIDMPRECORD | [`XIdmpRecord`] | 8.6.2 |
//! | XINFO | [`XInfoStream`], [`XInfoStreamFull`], [`XInfoGroups`], [`XInfoConsumers`], [`XInfoHelp`] | 5.0 |
//! | XLEN | [`XLen`] | 5.0 |
//! | XNACK | [`XNack`] | 8.8 |
//! | XPENDING | [`XPending`], [`XPendingRange`] | 5.0 |
//! | XRANGE, XREVRANGE | [`XRange`], [`XRevRange`] | 5.0 |
//! | XREAD | [`XRead`], [`Blocking`] | 5.0 |
//! | XREADGROUP | [`XReadGroup`], [`Blocking`] | 5.0 |
//! | XSETID | [`XSetId`] | 5.0 |
//! | XTRIM | [`XTrim`] | 5.0 |
//! | AUTH | [`Auth`] | 1.0 |
//! | CLIENT | [`ClientId`], [`ClientGetName`], [`ClientSetName`], [`ClientNoEvict`], [`ClientUnblock`], [`ClientKill`], [`ClientPause`], [`ClientUnpause`] | 5.0 |
//! | CLUSTER | [`ClusterSlots`], [`ClusterShards`] | 3.0 |
//! | DEL, UNLINK, EXISTS, TYPE | [`Del`], [`Unlink`], [`Exists`], [`Type`] | 1.0 |
//! | ECHO, PING | [`Echo`], [`Ping`], [`PingText`] | 1.0 |
//! | EXPIRE, PEXPIRE | [`Expire`], [`PExpire`] | 1.0 |
//! | HELLO | [`Hello`] | 6.0 |
//! | ROLE | [`Role`] | 2.8 |
//! | WAIT, WAITAOF | [`Wait`], [`WaitAof`] | 3.0 |
//! | any other | [`Raw`] | |
//!
//! Commands that block or change their connection (AUTH, HELLO, CLIENT SETNAME, CLIENT NO-EVICT,
//! WAIT, WAITAOF) implement [`DedicatedCommand`]. They are sent on the connection of a
//! [`Reader`](crate::Reader). MULTI and EXEC are [`Client::transact`](crate::Client::transact).

mod arg;
mod auth;
mod block;
mod client;
mod cluster;
mod dedicated;
mod delete;
mod echo;
mod from_replica;
mod ids;
mod key;
mod listing;
mod ping;
mod raw;
mod reply;
mod role;
mod slot;
mod trim;
mod unfit;
mod wait;
mod xack;
mod xackdel;
mod xadd;
mod xautoclaim;
mod xcfgset;
mod xclaim;
mod xdel;
mod xdelex;
mod xgroup;
mod xidmprecord;
mod xinfo;
mod xlen;
mod xnack;
mod xpending;
mod xrange;
mod xread;
mod xreadgroup;
mod xsetid;
mod xtrim;

pub(crate) mod hello;

pub use arg::Arg;
pub use auth::Auth;
#[cfg(feature = "tokio")]
pub(crate) use block::read_request;
pub use block::{Block, Blocking, BlockingCommand, encode_read};
pub use client::{
    ClientGetName, ClientId, ClientKill, ClientNoEvict, ClientPause, ClientSetName, ClientUnblock,
    ClientUnpause,
};
pub use cluster::{
    ClusterNode, ClusterShards, ClusterSlots, NodeHealth, NodeRole, Shard, ShardNode, SlotRange,
};
#[cfg(feature = "tokio")]
pub(crate) use dedicated::dedicated_request;
pub use dedicated::{DedicatedCommand, encode_dedicated};
pub use delete::DeleteOutcome;
pub use echo::Echo;
pub use from_replica::{FromReplica, ReadCommand};
pub use hello::{Hello, HelloReply, RespVersion};
pub use ids::Ids;
pub use key::{Del, Exists, Expire, ExpireWhen, KeyType, PExpire, Type, Unlink};
pub use ping::{Ping, PingText};
pub use raw::Raw;
pub use role::{ConnectedReplica, LinkState, Role, RoleReply};
pub use slot::key_slot;
#[cfg(feature = "tokio")]
pub(crate) use slot::{EachKey, SLOTS, slot_of};
pub use trim::{Refs, Trim};
#[cfg(feature = "tokio")]
pub(crate) use unfit::refused;
pub use wait::{Wait, WaitAof, WaitAofReply};
pub use xack::XAck;
pub use xackdel::XAckDel;
pub use xadd::{XAdd, XAddNoMkStream};
pub use xautoclaim::{AutoClaimed, XAutoClaim, XAutoClaimJustId};
pub use xcfgset::XCfgSet;
pub use xclaim::{XClaim, XClaimJustId};
pub use xdel::XDel;
pub use xdelex::XDelEx;
pub use xgroup::{
    XGroupCreate, XGroupCreateConsumer, XGroupCreateIfMissing, XGroupDelConsumer, XGroupDestroy,
    XGroupHelp, XGroupSetId,
};
pub use xidmprecord::XIdmpRecord;
pub use xinfo::{
    Active, ConsumerInfo, ConsumerInfoFull, ConsumerPending, GroupInfo, GroupInfoFull,
    GroupPending, IdmpInfo, StreamInfo, StreamInfoFull, XInfoConsumers, XInfoGroups, XInfoHelp,
    XInfoStream, XInfoStreamFull,
};
pub use xlen::XLen;
pub use xnack::{NackMode, XNack};
pub use xpending::{PendingEntry, PendingSummary, XPending, XPendingRange};
pub use xrange::{XRange, XRevRange};
pub use xread::XRead;
pub use xreadgroup::XReadGroup;
pub use xsetid::XSetId;
pub use xtrim::XTrim;

use crate::error::Refusal;
use crate::resp::{Args, DecodeError, Frame, Measure, Writer};
use crate::server::Features;

/// A command with a fixed reply type.
///
/// Implement it to send a command of your own. A command that would block or change the shared
/// connection does not compile where it is sent:
///
/// ```compile_fail
/// use bourn::resp::{Args, DecodeError, Frame};
/// use bourn::{Client, Command, Safety};
///
/// struct Subscribe<'a>(&'a str);
///
/// impl Command for Subscribe<'_> {
///     const NAME: &'static str = "SUBSCRIBE";
///     const SAFETY: Safety = Safety::ReadOnly;
///     type Reply = ();
///
///     fn args(&self, out: &mut impl Args) {
///         out.text(self.0);
///     }
///
///     fn reply(_: Frame) -> Result<(), DecodeError> {
///         Ok(())
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), bourn::Error> {
/// # let client = Client::connect("redis://127.0.0.1").await?;
/// // error: evaluation panicked: the server would send push messages, which bourn does not
/// // read: use another client
/// client.send(Subscribe("news")).await
/// # }
/// ```
///
/// A reference to a command is a command too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent on a shared connection",
    label = "blocks or changes the connection, which other callers share",
    note = "a `Reader` has its own connection: pass a blocking read to \
            `client.reader().await?.read(..)`, or leave out `.block()`",
    note = "WAIT, WAITAOF, AUTH, HELLO, CLIENT SETNAME and CLIENT NO-EVICT are sent with \
            `Reader::send(..)`"
)]
pub trait Command {
    /// The command's name, with one space between words: `XGROUP CREATE`.
    const NAME: &'static str;

    /// The effect of running the command twice.
    const SAFETY: Safety;

    /// The type of the reply.
    type Reply;

    /// Lists the arguments after the name, in Redis's order. Every call must list the same
    /// arguments.
    fn args(&self, out: &mut impl Args);

    /// Decodes the reply. Error replies are never passed here.
    ///
    /// # Errors
    ///
    /// The reply does not have the shape that this command returns.
    fn reply(frame: Frame) -> Result<Self::Reply, DecodeError>;

    /// Decodes the reply to this request. The default is [`Command::reply`]. Override it if the
    /// request determines more of the reply, such as its number of elements.
    ///
    /// # Errors
    ///
    /// The reply does not match this request.
    fn reply_to(&self, frame: Frame) -> Result<Self::Reply, DecodeError> {
        Self::reply(frame)
    }

    /// The meaning of an error reply: whether the command may have executed. The default is derived
    /// from the name: scripts and functions may have run in part.
    const REFUSAL: Refusal = Refusal::of(Self::NAME);

    /// Returns the meaning of an error reply to this request: [`Command::REFUSAL`], unless an
    /// argument determines more.
    fn refusal(&self) -> Refusal {
        Self::REFUSAL
    }

    #[doc(hidden)]
    const LISTING: listing::Listing = listing::Listing::FREE;

    /// Whether a replica may answer: [`FromReplica`].
    #[doc(hidden)]
    const FROM_REPLICA: bool = false;

    /// Lists the keys among the arguments, as [`Command::args`] lists all arguments. In a cluster
    /// they determine the node. By default there are none, and any node can serve the command.
    ///
    /// All keys of a command must be in one slot of the cluster: see
    /// [`Unsent::TwoSlots`](crate::Unsent::TwoSlots).
    fn keys(&self, out: &mut impl Args) {
        let _ = out;
    }

    /// Returns the safety of this request: [`Command::SAFETY`], unless an argument makes it safer.
    fn safety(&self) -> Safety {
        Self::SAFETY
    }

    /// Returns the reply that an error reply counts as, such as `BUSYGROUP` for a group that only
    /// has to exist. The default is `None`: the error stays an error.
    fn accepted(&self, error: &[u8]) -> Option<Self::Reply> {
        let _ = error;
        None
    }

    /// Returns the features that the request uses and that not every server has. They explain a
    /// refusal: [`Error::TooOld`](crate::Error::TooOld).
    fn needs(&self) -> Features {
        Features::NONE
    }

    /// Returns the reason why the command must not be sent on a shared connection; `None` if it
    /// may.
    fn refused(&self) -> Option<&'static str> {
        None
    }
}

impl<C: Command> Command for &C {
    const NAME: &'static str = C::NAME;
    const SAFETY: Safety = C::SAFETY;
    const REFUSAL: Refusal = C::REFUSAL;
    const LISTING: listing::Listing = C::LISTING;
    const FROM_REPLICA: bool = C::FROM_REPLICA;
    type Reply = C::Reply;

    #[inline]
    fn args(&self, out: &mut impl Args) {
        C::args(self, out);
    }

    #[inline]
    fn reply(frame: Frame) -> Result<Self::Reply, DecodeError> {
        C::reply(frame)
    }

    #[inline]
    fn reply_to(&self, frame: Frame) -> Result<Self::Reply, DecodeError> {
        C::reply_to(self, frame)
    }

    fn accepted(&self, error: &[u8]) -> Option<Self::Reply> {
        C::accepted(self, error)
    }

    fn refusal(&self) -> Refusal {
        C::refusal(self)
    }

    fn keys(&self, out: &mut impl Args) {
        C::keys(self, out);
    }

    fn safety(&self) -> Safety {
        C::safety(self)
    }

    fn needs(&self) -> Features {
        C::needs(self)
    }

    fn refused(&self) -> Option<&'static str> {
        C::refused(self)
    }
}

/// The effect of running a command twice.
///
/// A command that does none is sent again when its connection ends before the reply has come, as
/// long as its deadline allows, unless [`Config::retry`](crate::Config::retry) says otherwise. The
/// reply is then that of the last run: what the first has done already may show, as a 0 of XACK or
/// XDEL. A refusal of the last run says nothing of the first: `BUSYGROUP` of a repeated XGROUP
/// CREATE is reported as [`Error::Lost`](crate::Error::Lost).
///
/// ```
/// use bourn::{Command, Safety, XAdd, XLen};
///
/// assert_eq!(XLen::new("orders").safety(), Safety::ReadOnly);
/// let add = XAdd::new("orders").field("sku", "A-7");
/// assert_eq!(add.safety(), Safety::Write);
/// // The server recognizes a repeat, within a window.
/// assert_eq!(add.idmp("shop", "order-17").safety(), Safety::Windowed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Safety {
    /// The command changes nothing.
    ReadOnly,
    /// Run twice it leaves the same as run once, whatever was run in between.
    Idempotent,
    /// The server recognizes a repeat, but only for a while: XADD with IDMP. It is sent again only
    /// within that window: [`Config::idmp_window`](crate::Config::idmp_window).
    Windowed,
    /// Run twice it may do something twice.
    Write,
}

/// Lists the whole request, name first.
#[inline]
pub(crate) fn request<C: Command>(command: &C, out: &mut impl Args) {
    words(C::NAME, const { is_one_word(C::NAME) }, out);
    command.args(out);
}

/// Lists the words of a name.
#[inline]
fn words(name: &'static str, is_one: bool, out: &mut impl Args) {
    if is_one {
        out.text(name);
    } else {
        name.split(' ').filter(|word| !word.is_empty()).for_each(|word| out.text(word));
    }
}

/// Whether a name is a single word: not empty, without a space. Evaluated at compile time.
const fn is_one_word(name: &str) -> bool {
    let name = name.as_bytes();
    let mut i = 0;
    while i < name.len() {
        #[expect(clippy::indexing_slicing, reason = "i is below the length")]
        if name[i] == b' ' {
            return false;
        }
        i += 1;
    }
    !name.is_empty()
}

/// Counts and measures the request.
#[inline]
pub(crate) fn measure<C: Command>(command: &C) -> Measure {
    let mut measure = Measure::default();
    request(command, &mut measure);
    measure
}

/// Appends the request to `out`. Returns false if the command listed other arguments than when it
/// was measured; the bytes written are then unusable.
#[inline]
pub(crate) fn write<C: Command>(command: &C, measure: &Measure, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut writer = Writer::begin(out, measure);
    request(command, &mut writer);
    writer.count() == measure.count && out.len() - start == measure.request_bytes()
}

/// Encodes a command as the bytes of its request.
///
/// ```
/// # use bourn::{XLen, command::encode};
/// assert_eq!(encode(&XLen::new("orders")), b"*2\r\n$4\r\nXLEN\r\n$6\r\norders\r\n");
/// ```
#[must_use]
pub fn encode<C: Command>(command: &C) -> Vec<u8> {
    let mut out = Vec::new();
    write(command, &measure(command), &mut out);
    out
}
