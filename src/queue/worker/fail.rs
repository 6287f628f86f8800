//! Fail: why a job is not done, and what is to become of it. Pure.

use super::super::retry::{BoxError, Verdict};
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Why a job is not done, and what is to become of it.
///
/// Any error becomes [`Fail::Retry`] with `?`, which is then the policy's to judge:
/// [`RetryPolicy::classify`](super::super::RetryPolicy::classify).
///
/// ```
/// # use bourn::queue::Fail;
/// async fn handle(template: &str) -> Result<(), Fail> {
///     match template {
///         "welcome" => std::fs::read("welcome.html").map(drop).map_err(Fail::retry),
///         other => Err(Fail::dead(format!("no such template: {other}"))),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Fail {
    /// Try again by the policy.
    Retry(BoxError),
    /// Try again after this long.
    RetryAfter(Duration, BoxError),
    /// It will never do: to the dead letters.
    Dead(BoxError),
    /// Nobody needs it any more: acknowledge it.
    Discard(BoxError),
    /// Give it back as if it had never been delivered.
    Release,
}

impl Fail {
    /// Try again by the policy.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Retry(error.into())
    }

    /// Try again after this long.
    pub fn retry_after(wait: Duration, error: impl Into<BoxError>) -> Self {
        Self::RetryAfter(wait, error.into())
    }

    /// It will never do: to the dead letters.
    pub fn dead(error: impl Into<BoxError>) -> Self {
        Self::Dead(error.into())
    }

    /// Nobody needs it any more: acknowledge it.
    pub fn discard(error: impl Into<BoxError>) -> Self {
        Self::Discard(error.into())
    }

    /// What it means, where `classify` judges what was not judged here; `None` for a release. And why.
    pub(super) fn verdict(
        self,
        classify: impl Fn(&BoxError) -> Verdict,
    ) -> Option<(Verdict, BoxError)> {
        match self {
            Self::Retry(error) => Some((classify(&error), error)),
            Self::RetryAfter(wait, error) => Some((Verdict::RetryAfter(wait), error)),
            Self::Dead(error) => Some((Verdict::Dead, error)),
            Self::Discard(error) => Some((Verdict::Discard, error)),
            Self::Release => None,
        }
    }
}

/// Not an `Error` itself, so that every error can become one.
impl<E: StdError + Send + Sync + 'static> From<E> for Fail {
    fn from(error: E) -> Self {
        Self::Retry(Box::new(error))
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::RetryAfter(_, error) => write!(f, "{error}"),
            Self::Dead(error) => write!(f, "dead: {error}"),
            Self::Discard(error) => write!(f, "discarded: {error}"),
            Self::Release => f.write_str("released"),
        }
    }
}

/// An error with its causes, in one line that is no longer than it need be.
pub(super) fn chain(error: &BoxError) -> String {
    let first: Option<&(dyn StdError + 'static)> = error.source();
    let causes = std::iter::successors(first, |cause| StdError::source(*cause));
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The most characters of an error that a dead letter keeps.
const MOST: usize = 1_000;
