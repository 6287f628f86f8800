//! A group: entries that are added together, and one wait behind them, as one request.

use crate::client::batch::frames;
use crate::connection::{Failed, Replies, Request, ServerLookup, Size};
use crate::error::{Outcome, ServerError, Unsent};
use crate::resp::Frame;
use std::time::Duration;

/// The name of the commands that add.
pub(super) const XADD: &str = "XADD";

#[derive(Debug)]
pub(super) struct Group {
    pub(super) slot: Option<u16>,
    /// The requests that add.
    pub(super) adds: Vec<Vec<u8>>,
    /// The request that waits.
    pub(super) wait: Vec<u8>,
}

/// The replies to a group.
#[derive(Debug)]
pub(super) struct Replied {
    /// The replies to the adds that came.
    pub(super) adds: Vec<Frame>,
    /// The reply to the wait.
    pub(super) wait: Option<Frame>,
    /// The reason why there are no more.
    pub(super) failure: Failed,
}

/// Returns the error of a reply which shows that the entry was not added.
pub(super) fn refusal(reply: &Frame) -> Option<ServerError> {
    let error = ServerError::new(XADD, reply.error()?);
    (error.outcome() == Outcome::NotApplied).then_some(error)
}

impl Request for Group {
    type Output = Replied;
    type Measure = ();

    /// All entries were refused.
    fn refused(&self, replies: &Replies) -> Option<ServerError> {
        let Replies::Many(frames) = replies else { return None };
        let adds = frames.get(..self.adds.len())?;
        let mut refused = adds.iter().map(refusal);
        let first = refused.next()??;
        refused.all(|refused| refused.is_some()).then_some(first)
    }

    fn slot(&self) -> Result<Option<u16>, Unsent> {
        Ok(self.slot)
    }

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        let bytes = self.adds.iter().map(Vec::len).fold(self.wait.len(), usize::saturating_add);
        Ok((Size { replies: self.adds.len() + 1, bytes }, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        self.adds.iter().chain([&self.wait]).for_each(|request| out.extend_from_slice(request));
        true
    }

    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        _: Duration,
        _: ServerLookup<'_>,
    ) -> Replied {
        let mut adds = frames(replies);
        let wait = if adds.len() > self.adds.len() { adds.pop() } else { None };
        Replied { adds, wait, failure }
    }
}
