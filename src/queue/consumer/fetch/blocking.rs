//! A read that blocks, and how it is ended early. A task.

use crate::command::ClientUnblock;
use crate::entry::Streams;
use crate::error::Error;
use crate::queue::consumer::state::State;
use crate::queue::first::{Either, either, first};
use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

/// The interval at which a read that should end is unblocked.
const UNBLOCK: Duration = Duration::from_millis(50);

/// Waits for a read on the connection with this id until there are entries, or `ends` is ready, or
/// the consumer closes.
pub(super) async fn until(
    state: &State,
    id: Option<i64>,
    reading: impl Future<Output = Result<Streams, Error>>,
    ends: impl Future<Output = ()>,
) -> Result<Streams, Error> {
    let reading = pin!(reading);
    match either(reading, first(state.closing.cancelled(), ends)).await {
        Either::Left(streams) => streams,
        Either::Right(((), reading)) => {
            // The read may not block yet, so it is unblocked more than once. Its entries are
            // released.
            let unblock = async {
                while let Some(id) = id {
                    // If this fails, the read still ends soon.
                    let _ = state.client.send(ClientUnblock::new(id)).await;
                    tokio::time::sleep(UNBLOCK).await;
                }
                pending::<()>().await;
            };
            match either(reading, pin!(unblock)).await {
                Either::Left(streams) => streams,
                Either::Right(_) => {
                    state.set_unanswered();
                    Ok(Streams::default())
                }
            }
        }
    }
}
