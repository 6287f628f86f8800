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
//! read. A read that blocks cannot be in a transaction: it comes after one that found nothing.

use super::Fetch;
use super::command::command;
use crate::command::{GroupInfo, StreamInfo, XInfoGroups, XInfoStream};
use crate::entry::Streams;
use crate::error::Error;
use crate::queue::error::QueueError;
use crate::queue::operation::claim;
use crate::queue::operation::{clock, lost};
use crate::queue::policy::capabilities::{Capabilities, is_denied};
use crate::queue::policy::plan::Read;
use crate::queue::policy::unread;
use crate::queue::shared::Shared;
use std::sync::Arc;

impl Fetch {
    /// Whether unread entries of this stream may be trimmed, and can be counted.
    pub(super) fn counts_unread(&self, level: usize, capabilities: Capabilities) -> bool {
        let is_lossy =
            self.state.shared(level).is_some_and(|shared| shared.settings.retention.is_lossy());
        let is_readable = self.unread.get(level).is_some_and(|unread| !unread.is_unreadable);
        is_lossy && is_readable && capabilities.deleted
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
            let Some(shared) = state.shared(*level).filter(|_| left > 0) else { continue };
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
                    Err(error) if self.is_unreadable(*level, &error) => {
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
                    self.count_unread(*level, shared, &groups, &info, &streams).await;
                }
                streams
            } else {
                self.reader.read(command).await?
            };
            count += self.receive(streams, since).await?;
        }
        Ok(count)
    }

    /// Whether the reply is too large, or a command is refused. Then counting stops.
    fn is_unreadable(&mut self, level: usize, error: &Error) -> bool {
        let is_unreadable = claim::reply_limit(error).is_some() || is_denied(error);
        if let Some(unread) = self.unread.get_mut(level) {
            unread.is_unreadable |= is_unreadable;
        }
        is_unreadable
    }

    /// Counts entries that were missing before this read, and that no consumer has counted.
    async fn count_unread(
        &mut self,
        level: usize,
        shared: &Shared,
        groups: &[GroupInfo],
        info: &StreamInfo,
        streams: &Streams,
    ) {
        let own = groups.iter().find(|group| group.name == *shared.settings.group);
        let missing = own.and_then(|own| unread::missing(own, info)).unwrap_or_default();
        let is_place = Capabilities::of(self.reader.server().as_deref()).place;
        let total = unread::total(missing, info, is_place);
        let Some(unread) = self.unread.get_mut(level) else { return };
        // It is less only in a group that was created again.
        if missing == 0 || total == unread.total {
            return;
        }
        let lost = match lost::claim(shared, total).await {
            Ok(fresh) => fresh.min(missing),
            // The group is past them now, and the next read does not find them.
            Err(_) if is_place && has_new(streams) => missing,
            Err(_) => return,
        };
        unread.total = total;
        self.state.count_lost(level, lost);
    }
}

/// Whether an entry is delivered to the group for the first time.
fn has_new(streams: &Streams) -> bool {
    streams.iter().any(|entry| entry.delivery().is_none_or(|delivery| delivery.deliveries == 0))
}
