//! XGROUP DESTROY: removes a group. No I/O.

use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes a group, with its consumers and its pending entries list.
///
/// `XGROUP DESTROY key group` (Redis 5.0). Returns whether the group existed. A blocking read of
/// the group ends with [`Code::NoGroup`](crate::Code::NoGroup).
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) when the stream does not exist.
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
    // The group may be recreated in between; a second run would remove the new one and its pending
    // entries.
    const SAFETY: Safety = Safety::Write;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
    }

    fn reply(frame: Frame) -> Result<bool, DecodeError> {
        done(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    #[test]
    fn key_is_the_first_argument() {
        let destroy = XGroupDestroy::new("s", "g");
        assert_eq!(encode(&destroy), encode(&Raw::new("XGROUP DESTROY s g")));
        assert_eq!(listed_keys(&destroy), ["s"]);
    }
}
