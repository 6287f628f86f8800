//! The pause between two tries of an operation, and which errors are tried again. An operation.

use crate::error::{Code, Disconnect, Error, Unsent};
use crate::queue::policy::plan::with_jitter;
use crate::random;
use std::time::Duration;

/// The pause between two tries: minimum and maximum.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The increasing pause between two tries.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    pub(crate) async fn wait(&mut self) {
        let (least, most) = PAUSE;
        let pause = (least * 2_u32.saturating_pow(self.0.min(16))).min(most);
        self.0 = self.0.saturating_add(1);
        tokio::time::sleep(with_jitter(pause, random::fraction())).await;
    }
}

/// Whether the error is permanent for every job of the queue: the client is closed, the user may not
/// run the command, or the key holds another type. No further job can succeed.
pub(crate) fn is_permanent(error: &Error) -> bool {
    match error {
        Error::Unsent { reason, .. } => matches!(reason, Unsent::Closed),
        Error::Lost { reason, .. } => matches!(reason, Disconnect::Closed),
        Error::Config(_) | Error::Decode { .. } => true,
        error => {
            matches!(error.code(), Some(Code::WrongType | Code::NoPerm | Code::CrossSlot))
        }
    }
}

/// Whether the error is transient, so that retrying may succeed.
pub(crate) fn is_transient(error: &Error) -> bool {
    match error {
        Error::Server(error) => error.code().is_retryable(),
        Error::TooOld(_) | Error::Config(_) => false,
        Error::Unsent { reason, .. } => {
            matches!(reason, Unsent::TimedOut { .. } | Unsent::Full { .. } | Unsent::Reconnected)
        }
        _ => true,
    }
}
