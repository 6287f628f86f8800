//! Reads of a queue whose retention may trim unread entries: those are counted. Part of the tasks.
//!
//! ```text
//! MULTI
//! XINFO GROUPS s
//! XINFO STREAM s
//! XREADGROUP GROUP g me COUNT n STREAMS s >
//! EXEC
//! ```
//!
//! In one transaction, because between two commands more may be trimmed, and another consumer may
//! read. A read that blocks cannot be in a transaction. It comes after one that found nothing, and is
//! sent in one piece with another look at the counts: what is added and trimmed meanwhile is counted.

use super::Fetch;
use super::command::command;
use super::counts::Looked;
use crate::command::{XInfoGroups, XInfoStream};
use crate::entry::Streams;
use crate::queue::consumer::state::State;
use crate::queue::error::QueueError;
use crate::queue::first;
use crate::queue::operation::clock;
use crate::queue::policy::capabilities::{Capabilities, is_denied};
use crate::queue::policy::plan::Read;
use std::future::Future;
use std::sync::Arc;

impl Fetch {
    /// Whether unread entries of this stream may be trimmed, and can be counted.
    pub(super) fn counts_unread(&self, level: usize, capabilities: Capabilities) -> bool {
        let is_lossy =
            self.state.shared(level).is_some_and(|shared| shared.settings.retention.is_lossy());
        is_lossy && self.unread.is_readable(level) && capabilities.deleted
    }

    /// Reads the streams one after the other without blocking, and counts what was trimmed before
    /// it was read. Returns the number of entries.
    pub(super) async fn read_counted(
        &mut self,
        read: &Read,
        capabilities: Capabilities,
    ) -> Result<usize, QueueError> {
        let (state, me) = (Arc::clone(&self.state), self.state.name());
        let mut count = 0;
        for level in &read.levels {
            let left = read.max_count.map_or(usize::MAX, |most| most.saturating_sub(count));
            let is_over = left == 0 || state.closing.is_cancelled();
            let Some(shared) = state.shared(*level).filter(|_| !is_over) else { continue };
            let one = Read {
                levels: vec![*level],
                count: read.count.min(left),
                max_count: None,
                block: None,
                claim: read.claim,
            };
            let since = clock::now();
            let command = command(&state, &me, &one, &self.batch, capabilities);
            let Some(command) = command else { continue };
            let streams = if self.counts_unread(*level, capabilities) {
                let stream = &shared.settings.stream;
                let all = (XInfoGroups::new(stream), XInfoStream::new(stream), command);
                let (groups, info, streams) = match self.reader.transact(all).await {
                    Err(error) if self.unread.is_refused(*level, &error) => {
                        // Nothing ran. It is read without a transaction from now on.
                        if is_denied(&error) {
                            continue;
                        }
                        return Err(error.into());
                    }
                    replies => replies?,
                };
                let streams = streams?;
                if let (Ok(groups), Ok(info)) = (groups, info) {
                    let how = (capabilities.place, has_new(&streams));
                    self.unread.count(&state, *level, (&groups, &info), how).await;
                }
                streams
            } else {
                self.reader.read(command).await?
            };
            count += self.receive(streams, since).await?;
        }
        Ok(count)
    }

    /// Looks at the counts of the streams of a read that blocks and is sent together with this.
    pub(super) fn look<'a>(
        &self,
        state: &'a State,
        read: &Read,
        capabilities: Capabilities,
    ) -> impl Future<Output = Vec<(usize, Looked)>> + use<'a> {
        let levels = read.levels.iter().filter(|level| self.counts_unread(**level, capabilities));
        let looks = levels.filter_map(|level| {
            let (level, stream) = (*level, &state.shared(*level)?.settings.stream);
            let both = (XInfoGroups::new(stream), XInfoStream::new(stream));
            let looking = self.reader.transact_before(both);
            Some(async move { (level, looking.await) })
        });
        first::all(looks.collect::<Vec<_>>())
    }
}

/// Whether an entry is delivered to the group for the first time.
fn has_new(streams: &Streams) -> bool {
    streams.iter().any(|entry| entry.delivery().is_none_or(|delivery| delivery.deliveries == 0))
}
