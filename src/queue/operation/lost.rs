//! Divides the entries that a group has missed among its consumers: each is counted once. An
//! operation.
//!
//! ```text
//! MULTI
//! XINFO CONSUMERS s g
//! XGROUP CREATECONSUMER s g ~lost:after-to
//! EXEC
//! XGROUP DELCONSUMER s g ~lost:after-less                   and those of the oldest gaps
//! ```

use crate::command::{XGroupCreateConsumer, XGroupDelConsumer, XInfoConsumers};
use crate::error::Error;
use crate::queue::policy::unread::{Gap, counted, counted_name, superseded, uncounted};
use crate::queue::settings::Settings;
use crate::queue::shared::Shared;

/// Returns how many entries of this gap are not counted yet. They are counted from now on.
pub(crate) async fn claim(shared: &Shared, gap: Gap) -> Result<u64, Error> {
    let Settings { stream, group, .. } = &shared.settings;
    let name = counted_name(gap);
    let both = (
        XInfoConsumers::new(stream, group),
        XGroupCreateConsumer::new(stream, group, name.as_bytes()),
    );
    let (consumers, created) = shared.client.transact(both).await?;
    let consumers = consumers?;
    created?;
    // Where another consumer has created the name, nothing is left to count.
    let before: Vec<Gap> = consumers.iter().filter_map(|info| counted(&info.name)).collect();
    let all: Vec<Gap> = before.iter().copied().chain([gap]).collect();
    for gap in superseded(&all) {
        let name = counted_name(gap);
        // If it stays, the next consumer removes it.
        let _ = shared.client.send(XGroupDelConsumer::new(stream, group, name.as_bytes())).await;
    }
    Ok(uncounted(gap, &before))
}
