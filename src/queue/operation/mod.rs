//! One exchange with the server each: they return values. An operation.
//!
//! | operation | commands |
//! |---|---|
//! | `ack` | XACKDEL, or XDEL and XACK |
//! | `nack` | XNACK, or XCLAIM with an idle time |
//! | `delay` | XADD to the wheel; MULTI: XADD of the timer, XCLAIM; then MULTI: XACK, XDEL |
//! | `wheel` | XREAD, XRANGE of timers; XADD to the stream, XDEL from the wheel |
//! | `claim` | XCLAIM and XPENDING: claimed entries with their attempts, heartbeats |
//! | `dead_letter` | MULTI: XADD to the dead-letter stream, XCLAIM; then MULTI: XACK, XDEL |
//! | `lost` | MULTI: XINFO CONSUMERS, XGROUP CREATECONSUMER: which consumer counts lost entries |
//! | `oversized` | XADD to the dead-letter stream, XACK, for an entry that cannot be read |
//! | `turn` | XREVRANGE, XADD: who moves delayed jobs, who does the maintenance |
//! | `relay` | MULTI: XADD to another stream, XCLAIM; then MULTI: XACK, XDEL |
//!
//! `copied` checks whether a copy is still there, and `copies` finds copies. `backoff` is the pause
//! between two tries of an operation, `clock` the time that they use, and `failures` the error that
//! is returned after several tries.

pub(crate) mod ack;
pub(crate) mod backoff;
pub(crate) mod claim;
pub(crate) mod clock;
pub(crate) mod copied;
pub(crate) mod copies;
pub(crate) mod dead_letter;
pub(crate) mod delay;
pub(crate) mod failures;
pub(crate) mod lost;
pub(crate) mod nack;
pub(crate) mod oversized;
pub(crate) mod recurring;
pub(crate) mod relay;
pub(crate) mod turn;
pub(crate) mod wheel;
