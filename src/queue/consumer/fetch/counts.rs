//! The counts of unread entries that were trimmed, as one consumer keeps them. Part of the tasks.

use crate::command::{GroupInfo, StreamInfo};
use crate::error::Error;
use crate::queue::consumer::state::State;
use crate::queue::operation::{claim, lost};
use crate::queue::policy::capabilities::is_denied;
use crate::queue::policy::unread::{self, Unread};

/// The reply to a look at the counts.
pub(super) type Looked = Result<(Result<Vec<GroupInfo>, Error>, Result<StreamInfo, Error>), Error>;

/// For each stream, the counts of unread entries that were trimmed.
#[derive(Debug)]
pub(super) struct Counts(Vec<Unread>);

impl Counts {
    pub(super) fn new(levels: usize) -> Self {
        Self(vec![Unread::default(); levels])
    }

    pub(super) fn is_readable(&self, level: usize) -> bool {
        self.0.get(level).is_some_and(|unread| !unread.is_unreadable)
    }

    /// Whether the reply is too large, or a command is refused. Then counting stops.
    pub(super) fn is_refused(&mut self, level: usize, error: &Error) -> bool {
        let is_refused = claim::reply_limit(error).is_some() || is_denied(error);
        if let Some(unread) = self.0.get_mut(level) {
            unread.is_unreadable |= is_refused;
        }
        is_refused
    }

    /// Counts what was missing right before a read that blocks.
    pub(super) async fn count_looked(
        &mut self,
        state: &State,
        looked: Vec<(usize, Looked)>,
        is_place: bool,
    ) {
        for (level, looked) in looked {
            match looked {
                Ok((Ok(groups), Ok(info))) => {
                    // The read returns what is left at once.
                    let is_passed = info.length > 0;
                    self.count(state, level, (&groups, &info), (is_place, is_passed)).await;
                }
                Ok(_) => {}
                Err(error) => _ = self.is_refused(level, &error),
            }
        }
    }

    /// Counts entries that were missing before a read, and that no consumer has counted. `is_passed`
    /// says whether the group is past them now.
    pub(super) async fn count(
        &mut self,
        state: &State,
        level: usize,
        (groups, info): (&[GroupInfo], &StreamInfo),
        (is_place, is_passed): (bool, bool),
    ) {
        let (Some(shared), Some(unread)) = (state.shared(level), self.0.get_mut(level)) else {
            return;
        };
        let own = groups.iter().find(|group| group.name == *shared.settings.group);
        let missing = own.and_then(|own| Some((own, unread::missing(own, info)?)));
        let Some((own, missing)) = missing.filter(|(_, missing)| *missing > 0) else { return };
        let gap = unread::gap(own, info, missing, is_place);
        if unread.counted == Some(gap) {
            return;
        }
        let lost = match lost::claim(shared, gap).await {
            Ok(uncounted) => uncounted.min(missing),
            // The next read does not find them.
            Err(_) if is_place && is_passed => missing,
            Err(_) => return,
        };
        unread.counted = Some(gap);
        state.count_lost(level, lost);
    }
}
