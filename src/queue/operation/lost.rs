//! Divides the entries that a group has missed among its consumers: each is counted once. An
//! operation.
//!
//! ```text
//! MULTI
//! XINFO CONSUMERS s g
//! XGROUP CREATECONSUMER s g ~lost:total
//! EXEC
//! XGROUP DELCONSUMER s g ~lost:less
//! ```

use crate::command::{XGroupCreateConsumer, XGroupDelConsumer, XInfoConsumers};
use crate::error::Error;
use crate::queue::policy::unread::{counted, counted_name};
use crate::queue::settings::Settings;
use crate::queue::shared::Shared;

/// Returns by how much this total exceeds the one up to which entries are counted. They are counted
/// from now on.
pub(crate) async fn claim(shared: &Shared, total: u64) -> Result<u64, Error> {
    let Settings { stream, group, .. } = &shared.settings;
    let name = counted_name(total);
    let both = (
        XInfoConsumers::new(stream, group),
        XGroupCreateConsumer::new(stream, group, name.as_bytes()),
    );
    let (consumers, created) = shared.client.transact(both).await?;
    let consumers = consumers?;
    created?;
    // Where another consumer has created the name, the difference is zero.
    let before: Vec<u64> = consumers.iter().filter_map(|info| counted(&info.name)).collect();
    let most = before.iter().copied().max().unwrap_or_default();
    for less in before.into_iter().chain([total]).filter(|less| *less < most.max(total)) {
        let name = counted_name(less);
        // If it stays, the next consumer removes it.
        let _ = shared.client.send(XGroupDelConsumer::new(stream, group, name.as_bytes())).await;
    }
    Ok(total.saturating_sub(most))
}
