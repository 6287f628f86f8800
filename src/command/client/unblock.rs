//! CLIENT UNBLOCK: ends the wait of another connection. No I/O.

use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Ends the wait of a connection: a blocking read, or WAIT.
///
/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]` (Redis 5.0). Returns whether the connection was waiting;
/// false if it does not exist. The read then returns no entries, as after its timeout, and WAIT
/// returns the number reached so far. [`Reader::connection_id`](crate::Reader::connection_id)
/// returns the id.
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
    /// Ends the wait of the connection with this id, as if it had timed out.
    pub fn new(id: i64) -> Self {
        Self { id, error: false }
    }

    /// Ends the wait with the error [`Code::Unblocked`](crate::Code::Unblocked).
    pub fn error(self) -> Self {
        Self { error: true, ..self }
    }
}

impl Command for ClientUnblock {
    const NAME: &'static str = "CLIENT UNBLOCK";
    // At the second run the connection may be in its next wait.
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
    fn client_unblock_mode_follows_the_id() {
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
