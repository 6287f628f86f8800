//! CLIENT UNBLOCK: ends another connection's wait. Pure.

use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Ends the wait of a connection: a read that blocks, or WAIT.
///
/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]` (Redis 5.0). Answers whether it was waiting; not if there is no such connection. A
/// read that is ended so has no entries, as if its time were over, and WAIT says how far it got;
/// [`Reader::connection_id`](crate::Reader::connection_id) has the id.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientUnblock, Error, Reader};
/// # async fn f(client: &Client, reader: &Reader) -> Result<(), Error> {
/// if let Some(id) = reader.connection_id() {
///     let was_waiting: bool = client.send(ClientUnblock::new(id)).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientUnblock {
    id: i64,
    error: bool,
}

impl ClientUnblock {
    /// Ends the wait of the connection of this id, as if its time were over.
    pub fn new(id: i64) -> Self {
        Self { id, error: false }
    }

    /// Ends it with the error [`Code::Unblocked`](crate::Code::Unblocked).
    pub fn error(self) -> Self {
        Self { error: true, ..self }
    }
}

impl Command for ClientUnblock {
    const NAME: &'static str = "CLIENT UNBLOCK";
    // By the second run the connection may be at its next wait.
    const SAFETY: Safety = Safety::Write;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        Arg::from(self.id).list(out);
        if self.error {
            out.text("ERROR");
        }
    }

    fn reply(frame: Frame) -> Result<bool, DecodeError> {
        done(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};

    #[test]
    fn the_way_it_ends_is_behind_the_id() {
        let rows = [
            (ClientUnblock::new(7), "CLIENT UNBLOCK 7"),
            (ClientUnblock::new(7).error(), "CLIENT UNBLOCK 7 ERROR"),
            (ClientUnblock::new(-1), "CLIENT UNBLOCK -1"),
            (ClientUnblock::new(i64::MAX), "CLIENT UNBLOCK 9223372036854775807"),
        ];
        for (unblock, expected) in rows {
            assert_eq!(encode(&unblock), encode(&Raw::new(expected)), "{expected}");
        }
    }
}
