//! CLIENT KILL: ends a connection. Pure.

use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Ends the connection of an id.
///
/// `CLIENT KILL ID id [SKIPME yes|no]` (Redis 2.8.12). Answers with the number of connections that ended: 0 if there is no
/// such one. Whoever has it sees it end without another byte.
///
/// The connection that the command is sent on is passed over, unless [`skip_me(false)`](Self::skip_me) is said. Then the
/// answer comes first and the end behind it: the connection is made anew, what others had sent on it behind this command
/// was not run, and they get [`Error::Lost`](crate::Error::Lost), for they cannot know.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) for a negative id. 0 is not sent and is [refused](crate::Unsent::Refused): to Redis 6 it
/// means every connection but this one.
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
    /// Ends the connection of this id.
    pub fn new(id: i64) -> Self {
        Self { id, skip_me: None }
    }

    /// Whether the connection that the command is sent on is passed over, as it is without it.
    pub fn skip_me(self, skip: bool) -> Self {
        Self { skip_me: Some(skip), ..self }
    }
}

impl Command for ClientKill {
    const NAME: &'static str = "CLIENT KILL";
    // A server that was started anew counts its connections anew: a second run might meet another one.
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
        // Redis 6.2.14 answers `CLIENT KILL ID 0` with the number of all others, and has ended them.
        (self.id == 0).then_some("to Redis 6 an id of 0 means every connection but this one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn whether_to_skip_oneself_is_behind_the_id() {
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
    fn no_id_that_means_all_is_sent() {
        assert!(ClientKill::new(0).refused().is_some());
        assert!(ClientKill::new(0).skip_me(true).refused().is_some());
    }

    #[test]
    fn the_reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":1\r\n", Some(1)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(ClientKill::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
