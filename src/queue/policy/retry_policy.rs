//! RetryPolicy: the number of attempts, the delays between them, and which errors are retried.
//! No I/O.
//!
//! The server counts attempts: they are an entry's delivery count. So a job that crashes its worker
//! is counted as well. A job is dead-lettered when it *arrives* with more deliveries than allowed,
//! whether a failure was seen or not.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A boxed error of a handler.
///
/// ```
/// use bourn::queue::{BoxError, RetryPolicy, Verdict};
///
/// fn judge(error: &BoxError) -> Verdict {
///     if error.is::<std::num::ParseIntError>() { Verdict::Dead } else { Verdict::Retry }
/// }
/// let policy = RetryPolicy::default().classify(judge);
/// # let _ = policy;
/// ```
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The number of attempts of a job, and the delay after each failure.
///
/// The delay after attempt `n` is `min * factor^(n - 1)`, at most `max`. With [`Jitter::Full`] it
/// is a random part of that.
///
/// The default is 25 attempts, with delays that double from 1 s to 24 h. A job that keeps failing
/// is tried for about four days, and becomes a dead letter after nine at most. So an outage of what
/// the handlers call, over a weekend, dead-letters nothing. The first ten attempts are made within
/// about four minutes.
///
/// ```
/// # use bourn::queue::{Jitter, RetryPolicy};
/// # use std::time::Duration;
/// let policy = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(20))
///     .factor(3.0)
///     .jitter(Jitter::None)
///     .max_attempts(4);
/// let waits: Vec<u64> = (1..=4).map(|attempt| policy.delay(attempt, 0.5).as_secs()).collect();
/// assert_eq!(waits, [1, 3, 9, 20]);
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    min: Duration,
    max: Duration,
    factor: f64,
    jitter: Jitter,
    max_attempts: u32,
    classify: Option<Arc<Classify>>,
}

type Classify = dyn Fn(&BoxError) -> Verdict + Send + Sync;

/// The random part of a delay.
///
/// ```
/// use bourn::queue::{Jitter, RetryPolicy};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(20));
/// assert_eq!(policy.clone().jitter(Jitter::None).delay(2, 0.5), Duration::from_secs(2));
/// // Full jitter: any time up to that.
/// assert_eq!(policy.jitter(Jitter::Full).delay(2, 0.5), Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Jitter {
    /// Full jitter: a random delay between zero and the computed delay. Jobs that failed together
    /// do not return together.
    #[default]
    Full,
    /// No jitter.
    None,
}

/// The decision on a job, for an error.
///
/// ```
/// use bourn::queue::{RetryPolicy, Verdict};
/// use std::io::ErrorKind;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::default().classify(|error| {
///     match error.downcast_ref::<std::io::Error>() {
///         Some(error) if error.kind() == ErrorKind::InvalidData => Verdict::Dead,
///         Some(_) => Verdict::RetryAfter(Duration::from_secs(30)),
///         None => Verdict::Retry,
///     }
/// });
/// # let _ = policy;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Retry after the policy's delay, unless this was the last attempt.
    Retry,
    /// Retry after this delay, however long, unless this was the last attempt.
    RetryAfter(Duration),
    /// The error is permanent: move the job to the dead-letter stream at once.
    Dead,
    /// The job is no longer needed: acknowledge it as if it were done.
    Discard,
}

/// The next step for a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Retry(Duration),
    Dead,
    Discard,
}

impl RetryPolicy {
    /// Creates a policy with delays that double from `min` to `max`, full jitter and 25 attempts.
    #[must_use]
    pub fn exponential(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            factor: 2.0,
            jitter: Jitter::Full,
            max_attempts: 25,
            classify: None,
        }
    }

    /// Sets the factor between one delay and the next. Default 2; 1 for constant delays. A value
    /// below 1 or NaN counts as 1.
    #[must_use]
    pub fn factor(self, factor: f64) -> Self {
        Self { factor: if factor >= 1.0 { factor } else { 1.0 }, ..self }
    }

    /// Sets the jitter. Default [`Jitter::Full`].
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// Sets the maximum number of attempts, including the first one. Default 25; 0 counts as 1.
    #[must_use]
    pub fn max_attempts(self, attempts: u32) -> Self {
        Self { max_attempts: attempts.max(1), ..self }
    }

    /// Sets the function that decides on errors for which the handler gave no verdict.
    ///
    /// ```
    /// # use bourn::queue::{RetryPolicy, Verdict};
    /// let policy = RetryPolicy::default().classify(|error| {
    ///     match error.downcast_ref::<std::io::Error>() {
    ///         Some(error) if error.kind() == std::io::ErrorKind::InvalidInput => Verdict::Dead,
    ///         _ => Verdict::Retry,
    ///     }
    /// });
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn classify(self, verdict: impl Fn(&BoxError) -> Verdict + Send + Sync + 'static) -> Self {
        Self { classify: Some(Arc::new(verdict)), ..self }
    }

    /// Returns the delay after this attempt, starting at 1. `random` is between 0 and 1.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let power = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let most = self.max.as_secs_f64();
        let wait = (self.min.as_secs_f64() * self.factor.powi(power)).min(most);
        let part = match self.jitter {
            Jitter::Full => random.clamp(0.0, 1.0),
            Jitter::None => 1.0,
        };
        Duration::try_from_secs_f64(wait * part).unwrap_or(self.max)
    }

    /// Returns the maximum number of attempts.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Whether a job with this number of deliveries, including the present one, has exceeded its
    /// attempts.
    pub(crate) fn is_exhausted(&self, attempt: u32) -> bool {
        attempt > self.max_attempts
    }

    /// Returns the classifier's verdict; [`Verdict::Retry`] without a classifier.
    pub(crate) fn verdict(&self, error: &BoxError) -> Verdict {
        self.classify.as_ref().map_or(Verdict::Retry, |classify| classify(error))
    }

    /// Returns the next step for a job whose attempt of this number failed.
    pub(crate) fn after(&self, verdict: Verdict, attempt: u32, random: f64) -> Next {
        let retry =
            |wait| if attempt >= self.max_attempts { Next::Dead } else { Next::Retry(wait) };
        match verdict {
            Verdict::Retry => retry(self.delay(attempt, random)),
            Verdict::RetryAfter(wait) => retry(wait),
            Verdict::Dead => Next::Dead,
            Verdict::Discard => Next::Discard,
        }
    }
}

/// 25 attempts, with delays from 1 s to 24 h.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1), Duration::from_secs(24 * 3_600))
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("min", &self.min)
            .field("max", &self.max)
            .field("factor", &self.factor)
            .field("jitter", &self.jitter)
            .field("max_attempts", &self.max_attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn delays_grow_up_to_the_maximum() {
        let policy = RetryPolicy::exponential(S, 20 * S).jitter(Jitter::None);
        let rows = [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (6, 20), (1_000, 20), (u32::MAX, 20)];
        for (attempt, expected) in rows {
            assert_eq!(policy.delay(attempt, 0.3), expected * S, "attempt {attempt}");
        }
        let odd = RetryPolicy::exponential(5 * S, S).factor(f64::NAN).jitter(Jitter::None);
        assert_eq!(odd.delay(3, 0.0), 5 * S, "the longest is no shorter than the shortest");
    }

    #[test]
    fn default_policy_retries_for_days() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.attempts(), 25);
        let sum = |attempts: u32, random| -> Duration {
            (1..attempts).map(|attempt| policy.delay(attempt, random)).sum()
        };
        let day = 24 * 3_600 * S;
        assert!(sum(10, 0.5) < 5 * 60 * S, "{:?}", sum(10, 0.5));
        assert!(sum(25, 0.5) > 4 * day && sum(25, 1.0) < 9 * day, "{:?}", sum(25, 1.0));
    }

    #[test]
    fn full_jitter_is_a_fraction_of_the_delay() {
        let policy = RetryPolicy::exponential(4 * S, 8 * S);
        for (random, expected) in [(0.0, 0), (0.25, 2_000), (1.0, 8_000), (7.0, 8_000), (-1.0, 0)] {
            assert_eq!(policy.delay(2, random).as_millis(), expected, "{random}");
        }
    }

    #[test]
    fn last_attempt_is_not_retried() {
        let policy = RetryPolicy::exponential(S, S).jitter(Jitter::None).max_attempts(3);
        let rows = [
            (Verdict::Retry, 1, Next::Retry(S)),
            (Verdict::Retry, 2, Next::Retry(S)),
            (Verdict::Retry, 3, Next::Dead),
            (Verdict::Retry, 9, Next::Dead),
            (Verdict::RetryAfter(9 * S), 2, Next::Retry(9 * S)),
            (Verdict::RetryAfter(9 * S), 3, Next::Dead),
            (Verdict::Dead, 1, Next::Dead),
            (Verdict::Discard, 3, Next::Discard),
        ];
        for (verdict, attempt, expected) in rows {
            assert_eq!(policy.after(verdict, attempt, 0.5), expected, "{verdict:?} {attempt}");
        }
        assert!(!policy.is_exhausted(3));
        assert!(policy.is_exhausted(4));
        assert!(RetryPolicy::default().max_attempts(0).is_exhausted(2), "once is the least");
    }

    #[test]
    fn classifier_decides_on_errors_without_a_verdict() {
        let error: BoxError = "no such user".into();
        assert_eq!(RetryPolicy::default().verdict(&error), Verdict::Retry);
        let strict = RetryPolicy::default().classify(|error| match error.to_string().as_str() {
            "no such user" => Verdict::Dead,
            _ => Verdict::Retry,
        });
        assert_eq!(strict.verdict(&error), Verdict::Dead);
    }
}
