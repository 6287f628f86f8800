//! Commands on a stream's key that work for keys of every type. No I/O.
//!
//! | command | type | returns |
//! |---|---|---|
//! | DEL | [`Del`] | the number of keys removed |
//! | UNLINK | [`Unlink`] | the number of keys removed |
//! | EXISTS | [`Exists`] | the number of keys that exist |
//! | TYPE | [`Type`] | the type of the key |
//! | EXPIRE, PEXPIRE | [`Expire`], [`PExpire`] | whether the time was set |
//!
//! Removing a stream removes its groups, their consumers and the pending entries lists. Blocking
//! reads of the stream:
//!
//! | blocking read | Redis 6.2 | 7.0 | 7.2 and later, Valkey |
//! |---|---|---|---|
//! | of a group | keeps waiting | [`Code::Unblocked`](crate::Code::Unblocked) | [`Code::NoGroup`](crate::Code::NoGroup) |
//! | without a group | keeps waiting | keeps waiting | keeps waiting |
//!
//! A read that keeps waiting returns the first entry of a new stream at this key. A read of a group
//! then ends with [`Code::NoGroup`](crate::Code::NoGroup), unless the group was created first.

mod del;
mod exists;
mod expire;
mod key_type;
mod unlink;

pub use del::Del;
pub use exists::Exists;
pub use expire::{Expire, ExpireWhen, PExpire};
pub use key_type::{KeyType, Type};
pub use unlink::Unlink;

use super::arg::Arg;
use crate::resp::Args;

/// One or more keys.
#[derive(Debug, Clone)]
struct Keys<'a> {
    first: Arg<'a>,
    more: Vec<Arg<'a>>,
}

impl<'a> Keys<'a> {
    fn new(first: Arg<'a>) -> Self {
        Self { first, more: Vec::new() }
    }

    fn and(mut self, key: Arg<'a>) -> Self {
        self.more.push(key);
        self
    }

    fn len(&self) -> usize {
        1 + self.more.len()
    }

    fn list(&self, out: &mut impl Args) {
        self.first.list(out);
        self.more.iter().for_each(|key| key.list(out));
    }
}
