//! XGROUP: creates, moves and removes groups and consumers. No I/O.
//!
//! | form | type | returns |
//! |---|---|---|
//! | XGROUP CREATE | [`XGroupCreate`] | nothing |
//! | XGROUP SETID | [`XGroupSetId`] | nothing |
//! | XGROUP DESTROY | [`XGroupDestroy`] | whether there was a group |
//! | XGROUP CREATECONSUMER | [`XGroupCreateConsumer`] | whether the consumer is new |
//! | XGROUP DELCONSUMER | [`XGroupDelConsumer`] | the number of its pending entries |
//! | XGROUP HELP | [`XGroupHelp`] | lines of text |
//!
//! Every form but HELP requires the stream to exist, also for removal; only
//! [`XGroupCreate::mk_stream`] creates one. Names of groups and consumers are any bytes, and may be
//! empty.

mod create;
mod create_consumer;
mod del_consumer;
mod destroy;
mod help;
mod set_id;

pub use create::{XGroupCreate, XGroupCreateIfMissing};
pub use create_consumer::XGroupCreateConsumer;
pub use del_consumer::XGroupDelConsumer;
pub use destroy::XGroupDestroy;
pub use help::XGroupHelp;
pub use set_id::XGroupSetId;

use crate::resp::Args;

fn list_entries_read(entries: Option<u64>, out: &mut impl Args) {
    if let Some(entries) = entries {
        out.text("ENTRIESREAD");
        out.number(entries);
    }
}
