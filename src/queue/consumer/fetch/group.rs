//! Creates the group where it is missing. Part of the tasks.

use super::Fetch;
use crate::command::{XGroupCreate, XRange};
use crate::error::Error;
use crate::id::{EntryId, StartAt};
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::operation::{claim, wheel};
use crate::reader::Reader;

impl Fetch {
    pub(super) async fn create(&mut self) -> Result<(), QueueError> {
        for shared in &self.state.levels {
            let (stream, group) = (&shared.settings.stream, &shared.settings.group);
            let mut after = shared.acknowledged();
            if after > EntryId::MIN && !has_kept(&mut self.reader, stream, after).await? {
                after = EntryId::MIN;
            }
            let mut create = XGroupCreate::new(stream, group, StartAt::After(after)).mk_stream();
            if after == EntryId::MIN {
                if let Some(read) = shared.trimmed_before().await? {
                    create = create.entries_read(read);
                }
            }
            if shared.client.send(create.if_missing()).await? {
                shared.emit(QueueEvent::Created { after });
                shared.record_retention().await?;
                // The marker was lost with the group, and others may have added timers since.
                if wheel::is_used(shared).await.unwrap_or(true) {
                    shared.wheel.used();
                }
            }
            // A new stream has the server's default.
            shared.set_window().await?;
        }
        self.plan.created();
        Ok(())
    }
}

/// Whether the stream still has the entry up to which the group has acknowledged all, or the one
/// behind it. Otherwise it may be another stream, with ids of its own, or nothing is left up to there.
async fn has_kept(
    reader: &mut Reader,
    stream: &[u8],
    acknowledged: EntryId,
) -> Result<bool, Error> {
    let next = acknowledged.next().unwrap_or(EntryId::MAX);
    match reader.send(XRange::new(stream, acknowledged..=next).count(1)).await {
        Ok(entries) => Ok(!entries.is_empty()),
        Err(error) if claim::reply_limit(&error).is_some() => Ok(true),
        Err(error) => Err(error),
    }
}
