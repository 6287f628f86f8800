//! Creates the group where it is missing. Part of the tasks.

use super::Fetch;
use crate::command::{XGroupCreate, XInfoStream};
use crate::error::Code;
use crate::id::{EntryId, StartAt};
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::operation::{claim, wheel};

impl Fetch {
    pub(super) async fn create(&mut self) -> Result<(), QueueError> {
        for shared in &self.state.levels {
            let (stream, group) = (&shared.settings.stream, &shared.settings.group);
            let mut after = shared.acknowledged();
            if after > EntryId::MIN {
                let last = match self.reader.send(XInfoStream::new(stream)).await {
                    Ok(info) => info.last_generated_id,
                    Err(error) if error.code() == Some(&Code::Err) => EntryId::MIN,
                    // The group is missing, and the stream is not.
                    Err(error) if claim::reply_limit(&error).is_some() => after,
                    Err(error) => return Err(error.into()),
                };
                // The ids of another stream may be lower.
                after = if last < after { EntryId::MIN } else { after };
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
