//! The way of a request to one of several servers.
//!
//! A request of a cluster is sent to the connection that a [`Route`] names. A server that refuses it
//! names another one, and the request is sent there.

use super::outbox::Shared;
use super::pipeline::Replies;
use crate::error::ServerError;
use std::fmt;
use std::time::Duration;

/// The request that makes a node serve the next one, although the slot is still moving to it.
pub(crate) const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// Chooses connections.
pub(crate) trait Route: fmt::Debug + Send + Sync {
    /// Returns the connection for a request of this slot; for a request without keys, any.
    fn connection(&self, slot: Option<u16>) -> &Shared;

    /// Returns the connection to a replica for a read of this slot; `None` if the master reads.
    fn replica(&self, slot: Option<u16>) -> Option<&Shared>;

    /// Records the time that a replica took.
    fn read(&self, by: &Shared, time: Duration);

    /// Returns how a refused request continues; `None` if the refusal is no redirect, or the last
    /// one that is followed. `by` refused it, and `hops` redirects were followed before.
    fn refused(&self, by: &Shared, error: &ServerError, hops: u8) -> Option<Hop<'_>>;

    /// Records that a request got no reply in time.
    fn failed(&self);
}

/// The next attempt of a redirected request.
#[derive(Debug)]
pub(crate) struct Hop<'a> {
    /// The connection; `None` for that of the slot, which is looked up after the pause.
    pub(crate) to: Option<&'a Shared>,
    /// Send ASKING before the request.
    pub(crate) asking: bool,
    /// The pause before it.
    pub(crate) after: Duration,
    /// The slot that the server named.
    pub(crate) slot: Option<u16>,
}

/// Removes the reply to ASKING.
#[cold]
pub(crate) fn without_asking(replies: Replies) -> Replies {
    match replies {
        Replies::Many(mut frames) => {
            if !frames.is_empty() {
                frames.remove(0);
            }
            match frames.len() {
                1 => frames.pop().map_or(Replies::None, Replies::Single),
                _ => Replies::Many(frames),
            }
        }
        // It is not complete: there is no reply to the request.
        Replies::None | Replies::Single(_) => Replies::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Frame, Limits};

    #[test]
    fn reply_to_asking_is_removed() {
        let frame = |text: &str| Frame::parse(text.to_owned(), Limits::default()).unwrap();
        let (ok, one, two) = (frame("+OK\r\n"), frame(":1\r\n"), frame(":2\r\n"));
        let many = |frames: &[&Frame]| Replies::Many(frames.iter().copied().cloned().collect());
        let rows = [
            (many(&[&ok, &one]), Replies::Single(one.clone())),
            (many(&[&ok, &one, &two]), many(&[&one, &two])),
            (Replies::Single(ok.clone()), Replies::None),
            (Replies::None, Replies::None),
        ];
        for (replies, expected) in rows {
            assert_eq!(without_asking(replies), expected);
        }
    }
}
