//! The task that reads the map of a cluster: at intervals, and when there is a reason.

use super::ask::ask;
use super::map::Map;
use crate::connection::Event;
use crate::error::Disconnect;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The time limit of one node's answer.
const WITHIN: Duration = Duration::from_secs(2);

/// Reads the map until the client is closed.
pub(super) async fn run(map: Arc<Map>) {
    let _end = End(Arc::clone(&map));
    while !map.closing.load(Relaxed) {
        let due = Instant::from_std(map.next_view());
        if Instant::now() < due {
            // Woken when the time has changed.
            let _ = timeout_at(due, map.wake.notified()).await;
            continue;
        }
        let hint = map.begin_view();
        match ask(&map, hint, WITHIN).await {
            Ok(view) => map.apply(&view),
            Err(_) => map.no_view(),
        }
    }
}

/// Ends the events however the task ends.
struct End(Arc<Map>);

impl Drop for End {
    fn drop(&mut self) {
        let Self(map) = self;
        map.publisher.emit(Event::Disconnected { reason: Disconnect::Closed });
        map.publisher.end();
    }
}
