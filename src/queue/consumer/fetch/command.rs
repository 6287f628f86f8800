//! The command of a read. Part of the tasks.

use crate::command::XReadGroup;
use crate::id::GroupFrom;
use crate::queue::consumer::state::State;
use crate::queue::policy::batch::Batch;
use crate::queue::policy::capabilities::Capabilities;
use crate::queue::policy::plan::Read;

/// Returns the command of a read, without blocking. `None` if there is no stream.
pub(super) fn command<'a>(
    state: &'a State,
    me: &'a [u8],
    read: &Read,
    batch: &Batch,
    capabilities: Capabilities,
) -> Option<XReadGroup<'a>> {
    let settings = state.settings()?;
    let mut command = XReadGroup::new(&settings.group, me).count(read.count as u64);
    for shared in read.levels.iter().filter_map(|level| state.shared(*level)) {
        command = command.stream(&shared.settings.stream, GroupFrom::New);
    }
    // The server rejects a MAXCOUNT or MAXSIZE of 0.
    if let Some(most) = read.max_count.filter(|most| *most > 0) {
        command = command.max_count(most as u64);
    }
    if let Some(bytes) =
        Some(state.room_bytes()).filter(|bytes| *bytes > 0 && capabilities.max_size)
    {
        command = command.max_size(batch.max_size(bytes) as u64);
    }
    if let Some(idle) = read.claim {
        command = command.claim(idle);
    }
    if settings.at_most_once {
        command = command.no_ack();
    }
    Some(command)
}
