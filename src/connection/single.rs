//! A single command as a request, and the errors of commands.

use super::outbox::Size;
use super::pipeline::{Failed, Failure, Replies};
use super::request::{Request, ServerLookup};
use crate::command::{self, Command, Safety};
use crate::error::{Disconnect, Error, Outcome, RAW, Repeat, ServerError, Unsent};
use crate::resp::{Frame, Measure};
use std::time::Duration;

/// The longest argument that servers accept by default (proto-max-bulk-len).
const MAX_ARGUMENT_BYTES: usize = 512 << 20;

#[derive(Debug)]
pub(crate) struct Single<C>(pub(crate) C);

impl<C: Command> Request for Single<C> {
    type Output = Result<C::Reply, Error>;
    type Measure = Measure;
    const FROM_REPLICA: bool = C::FROM_REPLICA;

    fn refused(&self, replies: &Replies) -> Option<ServerError> {
        let Replies::Single(frame) = replies else { return None };
        let error = refusal(&self.0, frame.error()?);
        (error.outcome() == Outcome::NotApplied).then_some(error)
    }

    fn slot(&self) -> Result<Option<u16>, Unsent> {
        command::slot_of(|keys| self.0.keys(keys))
    }

    fn safety(&self) -> Safety {
        self.0.safety()
    }

    #[inline(always)]
    fn measure(&self) -> Result<(Size, Measure), Unsent> {
        let measure = measure(&self.0)?;
        Ok((Size { replies: 1, bytes: measure.request_bytes() }, measure))
    }

    #[inline(always)]
    fn write(&self, measure: &Measure, out: &mut Vec<u8>) -> bool {
        command::write(&self.0, measure, out)
    }

    #[inline]
    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> Self::Output {
        match (replies, failure) {
            (Replies::Single(frame), None) => decode(&self.0, frame, server),
            (_, failure) => Err(error(name::<C>(), failure, waited, (self.0.safety(), 0))),
        }
    }
}

/// Counts and measures a command, if it may be sent.
#[inline]
pub(crate) fn measure<C: Command>(command: &C) -> Result<Measure, Unsent> {
    let measure = command::measure(command);
    sendable(command::refused(command), &measure).map(|_| measure)
}

/// Returns the size of a single command, unless it is refused or too long.
#[inline]
pub(crate) fn sendable(refused: Option<&'static str>, measure: &Measure) -> Result<Size, Unsent> {
    if let Some(reason) = refused {
        return Err(Unsent::Refused { reason });
    }
    if measure.longest > MAX_ARGUMENT_BYTES {
        return Err(Unsent::TooLarge { bytes: measure.longest });
    }
    Ok(Size { replies: 1, bytes: measure.request_bytes() })
}

/// Returns a command's name for errors.
pub(crate) fn name<C: Command>() -> &'static str {
    if C::NAME.is_empty() { RAW } else { C::NAME }
}

/// Decodes the reply to a command.
#[inline]
pub(crate) fn decode<C: Command>(
    command: &C,
    frame: Frame,
    server: ServerLookup<'_>,
) -> Result<C::Reply, Error> {
    if let Some(text) = frame.error() {
        if let Some(reply) = command.accepted(text) {
            return Ok(reply);
        }
        return Err(Error::refusal(refusal(command, text), command.needs(), server));
    }
    command.reply_to(frame).map_err(|source| Error::Decode { command: name::<C>(), source })
}

/// Returns the error of an error reply to a command.
fn refusal<C: Command>(command: &C, text: &[u8]) -> ServerError {
    ServerError::new(name::<C>(), text).meaning(command.refusal())
}

/// Returns the error of a command without a reply: from its safety, and the number of commands
/// after it in the same request.
pub(crate) fn error(
    command: &'static str,
    failure: Failed,
    waited: Duration,
    (safety, behind): (Safety, u64),
) -> Error {
    match failure.map(|failure| *failure) {
        // The code that found it overdue does not know this command's timeout.
        Some(Failure::Unsent(Unsent::TimedOut { source, .. })) => {
            Error::Unsent { command, reason: Unsent::TimedOut { waited, source } }
        }
        Some(Failure::Unsent(reason)) => Error::Unsent { command, reason },
        // Only a request of a cluster, which is sent to the other connection.
        Some(Failure::Elsewhere) => Error::Unsent { command, reason: Unsent::Closed },
        Some(Failure::Lost(Disconnect::Protocol(source), _)) => Error::Protocol { command, source },
        Some(Failure::Lost(reason, place)) => {
            Error::Lost { command, reason, repeat: place.repeat(safety, behind) }
        }
        Some(Failure::TimedOut { place, .. }) => {
            Error::TimedOut { command, waited, repeat: place.repeat(safety, behind) }
        }
        // A request always ends with as many replies as it asked for, or with a failure.
        None => Error::Lost { command, reason: Disconnect::Closed, repeat: Repeat::UNSAFE },
    }
}
