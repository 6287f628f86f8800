//! CLIENT KILL: closes a connection. No I/O.

use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Closes the connection with an id.
///
/// `CLIENT KILL ID id [SKIPME yes|no]` (Redis 2.8.12). Returns the number of connections closed: 0
/// if none has this id. The peer's connection ends without further bytes.
///
/// The connection that the command is sent on is skipped, unless [`skip_me(false)`](Self::skip_me)
/// is set. Then the reply arrives before the close, and the client reconnects. Commands of other
/// callers that were sent after it have not run; they get [`Error::Lost`](crate::Error::Lost),
/// because the outcome is unknown to them.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) for a negative id. 0 is [refused](crate::Unsent::Refused)
/// without being sent: in Redis 6 it means every connection but this one.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientKill, Error, Reader};
/// # async fn f(client: &Client, stuck: i64) -> Result<(), Error> {
/// let ended = client.send(ClientKill::new(stuck)).await? > 0;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientKill {
    id: i64,
    skip_me: Option<bool>,
}

impl ClientKill {
    /// Closes the connection with this id.
    pub fn new(id: i64) -> Self {
        Self { id, skip_me: None }
    }

    /// Sets whether the connection that the command is sent on is skipped, which is the default.
    pub fn skip_me(self, skip: bool) -> Self {
        Self { skip_me: Some(skip), ..self }
    }
}

impl Command for ClientKill {
    const NAME: &'static str = "CLIENT KILL";
    // A restarted server counts its connections from the start: a second run might close another
    // one.
    const SAFETY: Safety = Safety::Write;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        out.text("ID");
        Arg::from(self.id).list(out);
        if let Some(skip) = self.skip_me {
            out.text("SKIPME");
            out.text(if skip { "yes" } else { "no" });
        }
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count("a number of connections")
    }

    fn refused(&self) -> Option<&'static str> {
        // Redis 6.2.14 closes all other connections on `CLIENT KILL ID 0`, and returns their
        // number.
        (self.id == 0).then_some("to Redis 6 an id of 0 means every connection but this one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn client_kill_skipme_follows_the_id() {
        let rows = [
            (ClientKill::new(7), "CLIENT KILL ID 7"),
            (ClientKill::new(-7), "CLIENT KILL ID -7"),
            (ClientKill::new(7).skip_me(true), "CLIENT KILL ID 7 SKIPME yes"),
            (ClientKill::new(7).skip_me(false), "CLIENT KILL ID 7 SKIPME no"),
        ];
        for (kill, expected) in rows {
            assert_eq!(encode(&kill), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(kill.refused(), None);
        }
    }

    #[test]
    fn client_kill_of_id_zero_is_refused() {
        assert!(ClientKill::new(0).refused().is_some());
        assert!(ClientKill::new(0).skip_me(true).refused().is_some());
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":1\r\n", Some(1)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(ClientKill::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
