//! XGROUP: makes groups and consumers, moves groups, and removes both. Pure.
//!
//! | form | type | answers with |
//! |---|---|---|
//! | XGROUP CREATE | [`XGroupCreate`] | nothing |
//! | XGROUP SETID | [`XGroupSetId`] | nothing |
//! | XGROUP DESTROY | [`XGroupDestroy`] | whether there was a group |
//! | XGROUP CREATECONSUMER | [`XGroupCreateConsumer`] | whether the consumer is new |
//! | XGROUP DELCONSUMER | [`XGroupDelConsumer`] | how many entries it had pending |
//!
//! Every form needs the stream to exist, removing as well; only [`XGroupCreate::mk_stream`] makes one. Names of groups
//! and consumers are any bytes, none at all too.

mod create;
mod create_consumer;
mod del_consumer;
mod destroy;
mod set_id;

pub use create::XGroupCreate;
pub use create_consumer::XGroupCreateConsumer;
pub use del_consumer::XGroupDelConsumer;
pub use destroy::XGroupDestroy;
pub use set_id::XGroupSetId;

use crate::resp::{Args, DecodeError, Frame};

fn list_entries_read(entries: Option<u64>, out: &mut impl Args) {
    if let Some(entries) = entries {
        out.text("ENTRIESREAD");
        out.number(entries);
    }
}

/// Nothing but `OK`.
fn ok(frame: Frame) -> Result<(), DecodeError> {
    match frame.cursor().string("OK")? {
        b"OK" => Ok(()),
        other => Err(DecodeError::text("OK", other)),
    }
}

/// 0 or 1, whether something was done.
fn done(frame: Frame) -> Result<bool, DecodeError> {
    match frame.cursor().integer("0 or 1")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::new("0 or 1", "another number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Limits;

    #[test]
    fn ok_is_nothing_else() {
        for (bytes, expected) in [
            ("+OK\r\n", true),
            ("$2\r\nOK\r\n", true),
            ("+QUEUED\r\n", false),
            (":1\r\n", false),
            ("$-1\r\n", false),
            ("_\r\n", false),
        ] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(ok(frame).is_ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn done_is_one_and_not_done_zero() {
        for (bytes, expected) in [
            (":0\r\n", Some(false)),
            (":1\r\n", Some(true)),
            (":2\r\n", None),
            (":-1\r\n", None),
            ("+OK\r\n", None),
            ("_\r\n", None),
        ] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(done(frame).ok(), expected, "{bytes:?}");
        }
    }
}
