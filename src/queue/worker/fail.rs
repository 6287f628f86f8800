//! The error of a handler, and the decision on its job. No I/O.

use crate::queue::policy::retry_policy::{BoxError, Verdict};
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The error of a handler, and the decision on its job.
///
/// `?` turns any error into [`Fail::Retry`]: a type that implements [`std::error::Error`], a
/// `Box<dyn Error + Send + Sync>`, an `anyhow::Error`, a `String`, a `&str`. A function that
/// returns one of these instead of `Fail` is a handler too. Such an error has no verdict of its
/// own: [`RetryPolicy::classify`](crate::queue::RetryPolicy::classify) gives it one.
///
/// ```
/// # use bourn::queue::Fail;
/// async fn handle(template: &str) -> Result<(), Fail> {
///     if template != "welcome" {
///         return Err(Fail::dead(format!("no such template: {template}")));
///     }
///     std::fs::read("welcome.html")?; // any error: tried again
///     Ok(())
/// }
///
/// async fn boxed(text: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     text.parse::<u64>()?;
///     Ok(())
/// }
/// ```
///
/// A dead letter's reason and the logs contain the error with its causes, separated by `: `. A
/// cause that is already part of the error's text is not repeated.
///
/// # Downcasting in `classify`
///
/// The classifier receives the error as a [`BoxError`]. `downcast_ref` finds the original type of
/// an error that was returned or converted by `?`, and of one that was boxed. An `anyhow::Error`
/// hides the type of the error that it was made from (anyhow's own conversion into a box does). An
/// error with added context is among the causes, with its type:
///
/// ```
/// # use bourn::queue::{BoxError, RetryPolicy, Verdict};
/// # use std::error::Error;
/// # #[derive(Debug)] struct NoSuchUser;
/// # impl std::fmt::Display for NoSuchUser {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no such user") }
/// # }
/// # impl Error for NoSuchUser {}
/// let policy = RetryPolicy::default().classify(|error: &BoxError| {
///     let first: &(dyn Error + 'static) = &**error;
///     let mut chain = std::iter::successors(Some(first), |error| Error::source(*error));
///     if chain.any(|error| error.is::<NoSuchUser>()) { Verdict::Dead } else { Verdict::Retry }
/// });
///
/// async fn handle() -> anyhow::Result<()> {
///     use anyhow::Context;
///     Err(NoSuchUser).context("cannot send the welcome mail")
/// }
/// # let error: BoxError = anyhow::Error::from(NoSuchUser).context("c").into();
/// # assert!(error.source().is_some_and(|cause| cause.is::<NoSuchUser>()));
/// # let _ = (policy, handle());
/// ```
///
/// Without a context, return
/// `Fail::retry(error.reallocate_into_boxed_dyn_error_without_backtrace())`, which keeps the type.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fail {
    /// Try again as the retry policy says.
    Retry(BoxError),
    /// Try again after this duration; see [`Fail::retry_after`].
    RetryAfter(Duration, BoxError),
    /// Do not try again: move the job to the dead-letter stream.
    Dead(BoxError),
    /// Acknowledge the job without having done it.
    Discard(BoxError),
    /// Give the job back as if it had never been delivered: the attempt does not count.
    Release,
}

impl Fail {
    /// Tries the job again as the retry policy says.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Retry(error.into())
    }

    /// Tries the job again after this duration, however long.
    pub fn retry_after(wait: Duration, error: impl Into<BoxError>) -> Self {
        Self::RetryAfter(wait, error.into())
    }

    /// Moves the job to the dead-letter stream.
    pub fn dead(error: impl Into<BoxError>) -> Self {
        Self::Dead(error.into())
    }

    /// Acknowledges the job without having done it.
    pub fn discard(error: impl Into<BoxError>) -> Self {
        Self::Discard(error.into())
    }

    /// Returns the verdict and the error; `None` for a release. `classify` decides on an error
    /// without a verdict.
    pub(crate) fn verdict(
        self,
        classify: impl FnOnce(&BoxError) -> Verdict,
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

/// Converts into [`Fail::Retry`].
// `Fail` does not implement `Error`: it would be `Into<BoxError>`, and this impl would overlap with
// `From<T> for T`.
impl<E: Into<BoxError>> From<E> for Fail {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

/// Prints the error with its causes, as in a dead letter.
impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::RetryAfter(_, error) => f.write_str(&chain(error)),
            Self::Dead(error) => write!(f, "dead: {}", chain(error)),
            Self::Discard(error) => write!(f, "discarded: {}", chain(error)),
            Self::Release => f.write_str("released"),
        }
    }
}

/// An error that a handler can return: any type that converts into a [`Fail`].
///
/// Implemented for all such types; there is no need to implement it. For your own type that does
/// not implement [`std::error::Error`], implement `From<YourError> for Fail`.
///
/// ```no_run
/// # async fn f(
/// #     queue: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Job;
///
/// // Any error that `?` can return: it is retried as the policy says.
/// async fn handle(job: Job<String>) -> std::io::Result<()> {
///     std::fs::write("latest", job.payload())
/// }
/// queue.worker().run(stop, handle).await?;
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return the error `{Self}`",
    label = "`{Self}` does not convert into `Fail`",
    note = "implement `std::error::Error` for it (it must be `Send + Sync + 'static`), or `From<{Self}> for Fail`",
    note = "`Fail`, `anyhow::Error`, `Box<dyn Error + Send + Sync>`, `String` and `&str` convert by themselves"
)]
pub trait IntoFail {
    /// Converts the error.
    fn into_fail(self) -> Fail;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Fail>> IntoFail for E {
    fn into_fail(self) -> Fail {
        self.into()
    }
}

/// Returns the error with its causes in one line of bounded length.
pub(crate) fn chain(error: &BoxError) -> String {
    let first: Option<&(dyn StdError + 'static)> = error.source();
    let causes = std::iter::successors(first, |cause| StdError::source(*cause));
    let text = causes.map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    });
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The maximum number of characters of an error that a dead letter keeps.
const MOST: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("no such user")]
    struct NoSuchUser;

    /// An error whose text contains its cause, as is common.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot send: {0}")]
    struct Cannot(#[source] NoSuchUser);

    struct Own(u8);

    impl From<Own> for Fail {
        fn from(own: Own) -> Self {
            Self::dead(format!("code {}", own.0))
        }
    }

    fn anyhow() -> anyhow::Result<()> {
        Err(NoSuchUser)?
    }

    fn boxed() -> Result<(), Box<dyn StdError + Send + Sync>> {
        Err(NoSuchUser)?
    }

    /// Uses `?` on each kind of error.
    fn fail(kind: &str) -> Result<(), Fail> {
        match kind {
            "typed" => Err(NoSuchUser)?,
            "boxed" => boxed()?,
            "anyhow" => anyhow()?,
            "anyhow, typed context" => Err(NoSuchUser).context("cannot send")?,
            "anyhow, context" => anyhow().context("cannot send")?,
            "anyhow, kept" => anyhow().map_err(|error| {
                Fail::retry(error.reallocate_into_boxed_dyn_error_without_backtrace())
            })?,
            "named cause" => Err(Cannot(NoSuchUser))?,
            "str" => Err("no such user")?,
            "string" => Err(String::from("no such user"))?,
            _ => Err(Own(7))?,
        }
        Ok(())
    }

    #[test]
    fn any_error_becomes_a_fail_and_keeps_its_type_and_causes() {
        // The position at which the classifier finds the type: 0 for the error itself, 1 for its
        // first cause.
        let rows = [
            ("typed", "no such user", Some(0)),
            ("boxed", "no such user", Some(0)),
            ("anyhow", "no such user", None),
            ("anyhow, typed context", "cannot send: no such user", Some(1)),
            ("anyhow, context", "cannot send: no such user", Some(1)),
            ("anyhow, kept", "no such user", Some(0)),
            ("named cause", "cannot send: no such user", Some(1)),
            ("str", "no such user", None),
            ("string", "no such user", None),
        ];
        for (kind, text, place) in rows {
            let fail = fail(kind).expect_err(kind);
            assert_eq!(fail.to_string(), text, "{kind}");
            let (verdict, error) = fail.verdict(|_| Verdict::Retry).expect(kind);
            assert_eq!((verdict, chain(&error).as_str()), (Verdict::Retry, text), "{kind}");
            let first: &(dyn StdError + 'static) = &*error;
            let found = std::iter::successors(Some(first), |error| StdError::source(*error))
                .position(|error| error.is::<NoSuchUser>());
            assert_eq!(found, place, "{kind}");
        }
        assert_eq!(fail("own").expect_err("own").to_string(), "dead: code 7");
    }

    #[test]
    fn long_errors_are_truncated() {
        let error: BoxError = "\u{e4}".repeat(5_000).into();
        assert_eq!(chain(&error).chars().count(), MOST + 3);
    }
}
