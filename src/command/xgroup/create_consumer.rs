//! XGROUP CREATECONSUMER: creates a consumer. No I/O.

use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Creates a consumer. Reading or claiming as a consumer creates it too.
///
/// `XGROUP CREATECONSUMER key group consumer` (Redis 6.2). Returns whether it was created; false if
/// it existed.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the group does not exist;
/// [`Code::Err`](crate::Code::Err) when the stream does not exist; [`Code::Oom`](crate::Code::Oom)
/// when the server is out of memory.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XGroupCreateConsumer};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let create = XGroupCreateConsumer::new("orders", "billing", "worker-1");
/// let is_new: bool = client.send(create).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XGroupCreateConsumer<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    consumer: Arg<'a>,
}

impl<'a> XGroupCreateConsumer<'a> {
    /// Creates this consumer of this group.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        consumer: impl Into<Arg<'a>>,
    ) -> Self {
        Self { key: key.into(), group: group.into(), consumer: consumer.into() }
    }
}

impl Command for XGroupCreateConsumer<'_> {
    const NAME: &'static str = "XGROUP CREATECONSUMER";
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        self.consumer.list(out);
    }

    fn needs(&self) -> Features {
        Feature::XGroupCreateConsumer.into()
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
    fn consumer_is_the_last_argument() {
        let create = XGroupCreateConsumer::new("s", "g", "c");
        assert_eq!(encode(&create), encode(&Raw::new("XGROUP CREATECONSUMER s g c")));
        assert_eq!(listed_keys(&create), ["s"]);
    }
}
