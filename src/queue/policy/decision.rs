//! The decision on a job after its delivery. No I/O.

use crate::queue::cause::{DeadLetterCause, Reason};
use crate::queue::policy::retry_policy::{Next, RetryPolicy, Verdict};
use std::time::Duration;

/// The decision on a delivered job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Acknowledge: the job is done.
    Done,
    /// Acknowledge: the job is no longer needed.
    Discard,
    /// Acknowledge: the job is for another group.
    Skip,
    /// Remove the entry: the job is in the wheel.
    InWheel,
    /// Retry after this delay.
    Retry(Duration),
    /// Release, as if it had never been delivered.
    Release,
    /// Retry at once: the delivery was dropped without a decision.
    Drop,
    /// Move to the dead-letter stream, for this reason.
    DeadLetter(Reason),
}

impl Decision {
    /// Returns the decision on a failed attempt. `random` is between 0 and 1. `reason` is that of the
    /// failure: an error that is no other failure becomes [`DeadLetterCause::Rejected`] if the verdict
    /// is `Dead`.
    pub(crate) fn on_failure(
        policy: &RetryPolicy,
        verdict: Verdict,
        attempt: u32,
        random: f64,
        reason: impl FnOnce() -> Reason,
    ) -> Self {
        match policy.after(verdict, attempt, random) {
            Next::Retry(wait) => Self::Retry(wait),
            Next::Dead => {
                let mut reason = reason();
                if verdict == Verdict::Dead && reason.cause == DeadLetterCause::Failed {
                    reason.cause = DeadLetterCause::Rejected;
                }
                Self::DeadLetter(reason)
            }
            Next::Discard => Self::Discard,
        }
    }

    /// Whether the job is acknowledged.
    pub(crate) fn acknowledges(&self) -> bool {
        matches!(self, Self::Done | Self::Discard | Self::Skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_attempt_is_retried_dead_lettered_or_discarded() {
        let policy = RetryPolicy::default().max_attempts(2);
        let wait = Duration::from_secs(3);
        let dead = |cause| Decision::DeadLetter(Reason::new(cause, "bad"));
        use DeadLetterCause::{Failed, Panicked, Rejected};
        let rows = [
            (Verdict::RetryAfter(wait), Failed, 1, Decision::Retry(wait)),
            (Verdict::RetryAfter(wait), Failed, 2, dead(Failed)),
            (Verdict::Dead, Failed, 1, dead(Rejected)),
            (Verdict::Dead, Panicked, 1, dead(Panicked)),
            (Verdict::Discard, Failed, 2, Decision::Discard),
        ];
        for (verdict, cause, attempt, expected) in rows {
            let reason = || Reason::new(cause, "bad");
            let decision = Decision::on_failure(&policy, verdict, attempt, 0.5, reason);
            assert_eq!(decision, expected, "{verdict:?}, attempt {attempt}");
            assert_eq!(decision.acknowledges(), verdict == Verdict::Discard, "{decision:?}");
        }
    }
}
