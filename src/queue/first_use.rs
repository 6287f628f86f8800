//! Whether the queue uses something that most queues never use, as far as this process knows. Part of
//! the tasks.

use tokio_util::sync::CancellationToken;

/// Whether something was used at any time.
#[derive(Debug, Default)]
pub(crate) struct FirstUse {
    used: CancellationToken,
}

impl FirstUse {
    /// Whether it was used.
    pub(crate) fn is_used(&self) -> bool {
        self.used.is_cancelled()
    }

    /// Records that it was used.
    pub(crate) fn used(&self) {
        self.used.cancel();
    }

    /// Waits until it is used.
    pub(crate) async fn wait_for_use(&self) {
        self.used.cancelled().await;
    }
}
