//! The error of an operation that is tried several times. No I/O.
//!
//! An attempt with an unknown outcome may have been applied. A later attempt that is refused, or not
//! sent, does not say whether it was: a server that loads its data refuses everything. Only a reply
//! to the operation itself resolves the outcome.

use crate::error::Error;

/// The failed attempts of one operation.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The first error with an unknown outcome.
    unknown: Option<Error>,
}

impl Failures {
    /// Adds the error of an attempt.
    pub(crate) fn add(&mut self, error: &Error) {
        if self.unknown.is_none() && error.may_have_run() {
            self.unknown = Some(error.clone());
        }
    }

    /// Returns the first error with an unknown outcome.
    pub(crate) fn unknown(&self) -> Option<Error> {
        self.unknown.clone()
    }

    /// Returns the error of the operation, given that of its last attempt.
    pub(crate) fn error<E: From<Error>>(&self, last: E) -> E {
        self.unknown.clone().map_or(last, E::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Disconnect, Outcome, Repeat, ServerError, Unsent};

    #[test]
    fn outcome_that_was_unknown_once_stays_unknown() {
        let lost = |reason| Error::Lost { command: "XADD", reason, repeat: Repeat::default() };
        let refused = || Error::from(Box::new(ServerError::new("XADD", b"LOADING data")));
        let unsent = || Error::Unsent { command: "XADD", reason: Unsent::Closed };
        let rows = [
            (vec![refused()], Outcome::NotApplied, "LOADING"),
            (vec![refused(), unsent()], Outcome::NotSent, "closed"),
            (vec![lost(Disconnect::Eof), refused()], Outcome::Unknown, "closed the connection"),
            (vec![refused(), lost(Disconnect::Silent), unsent()], Outcome::Unknown, "respond"),
            (vec![lost(Disconnect::Silent), lost(Disconnect::Eof)], Outcome::Unknown, "respond"),
        ];
        for (attempts, outcome, text) in rows {
            let mut failures = Failures::default();
            attempts.iter().for_each(|error| failures.add(error));
            let error = failures.error(attempts.last().expect("an attempt").clone());
            assert_eq!(error.outcome(), outcome, "{attempts:?}");
            assert!(error.to_string().contains(text), "{error} of {attempts:?}");
        }
    }
}
