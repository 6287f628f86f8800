//! The decisions of a queue: steps, leases, delays, retries. No I/O.

pub(crate) mod batch;
pub(crate) mod capabilities;
pub(crate) mod crowd;
pub(crate) mod decision;
pub(crate) mod delay;
pub(crate) mod front;
pub(crate) mod key_hash;
pub(crate) mod leases;
pub(crate) mod mark;
pub(crate) mod plan;
pub(crate) mod recurrence;
pub(crate) mod retention_kind;
pub(crate) mod retry_policy;
pub(crate) mod server_time;
pub(crate) mod timers;
pub(crate) mod turn;
pub(crate) mod unread;
pub(crate) mod window;
