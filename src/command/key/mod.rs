//! Commands on the key of a stream, as on that of anything else. Pure.
//!
//! | command | type | answers with |
//! |---|---|---|
//! | DEL | [`Del`] | how many keys there were |
//! | UNLINK | [`Unlink`] | how many keys there were |
//! | EXISTS | [`Exists`] | how many keys there are |
//! | TYPE | [`Type`] | what the key holds |
//! | EXPIRE, PEXPIRE | [`Expire`], [`PExpire`] | whether the time was set |
//!
//! A stream that goes takes its groups with it, with their consumers and all that is pending. What waits for it:
//!
//! | a read that blocks | Redis 6.2 | 7.0 | 7.2 and later, Valkey |
//! |---|---|---|---|
//! | of a group | goes on waiting | [`Code::Unblocked`](crate::Code::Unblocked) | [`Code::NoGroup`](crate::Code::NoGroup) |
//! | without a group | goes on waiting | goes on waiting | goes on waiting |
//!
//! What goes on waiting is given the first entry of a stream that is made in its place; a group's read ends with
//! [`Code::NoGroup`](crate::Code::NoGroup) then, unless the group was made first.

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

/// One key or several.
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
