//! XGROUP DESTROY: removes a group. Pure.

use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes a group, with its consumers and all that they have pending.
///
/// `XGROUP DESTROY key group` (Redis 5.0). Answers whether there was one. A read that waits for the group ends with
/// [`Code::NoGroup`](crate::Code::NoGroup).
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) when there is no stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XGroupDestroy};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let was_there: bool = client.send(XGroupDestroy::new("orders", "billing")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XGroupDestroy<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
}

impl<'a> XGroupDestroy<'a> {
    /// Removes this group of this stream.
    pub fn new(key: impl Into<Arg<'a>>, group: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into(), group: group.into() }
    }
}

impl Command for XGroupDestroy<'_> {
    const NAME: &'static str = "XGROUP DESTROY";
    // Someone who misses the group makes it anew; a second run would take that one, and what it has pending.
    const SAFETY: Safety = Safety::Write;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
    }

    fn reply(frame: Frame) -> Result<bool, DecodeError> {
        done(frame)
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};

    #[test]
    fn the_key_is_the_first_argument() {
        let destroy = XGroupDestroy::new("s", "g");
        assert_eq!(encode(&destroy), encode(&Raw::new("XGROUP DESTROY s g")));
        assert_eq!(destroy.key(), Some(&b"s"[..]));
    }
}
