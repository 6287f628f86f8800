//! Metrics: counters, gauges and histograms through the `metrics` facade (feature `metrics`).
//! An operation.
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `redis_streams_processed` | counter | `stream` | jobs whose handler succeeded |
//! | `redis_streams_duration_seconds` | histogram | `stream` | run time of handlers |
//! | `redis_streams_length` | gauge | `stream` | entries in the stream |
//! | `redis_streams_pending` | gauge | `stream`, `group`, `consumer` | jobs pending for a consumer, or given back under `~retry`; all of this crate are the consumer `bourn` |
//! | `bourn_jobs_total` | counter | `stream`, `group`, `outcome` | deliveries by outcome: the names of [`Report`](crate::queue::Report) |
//! | `bourn_dead_letters` | gauge | `stream`, `group` | dead letters |
//!
//! Every consuming process reads the gauges from the server about every ten seconds. The names of its
//! consumers are no labels: each start has a new one, and a series is never removed.

use crate::command::{ConsumerInfo, XLen};
use crate::error::Error;
use crate::queue::admin::letter_count;
use crate::queue::settings::CONSUMER_PREFIX;
use crate::queue::shared::Shared;
use metrics::{Counter, counter, gauge, histogram};
use std::collections::BTreeMap;
use tokio::time::Instant;

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Returns the counter of jobs with this outcome.
pub(crate) fn jobs(stream: &[u8], group: &[u8], outcome: &'static str) -> Counter {
    counter!("bourn_jobs_total", "stream" => text(stream), "group" => text(group), "outcome" => outcome)
}

/// Measures the run time of one handler.
pub(crate) struct Timer<'a> {
    shared: &'a Shared,
    start: Instant,
}

impl<'a> Timer<'a> {
    pub(crate) fn start(shared: &'a Shared) -> Self {
        Self { shared, start: Instant::now() }
    }

    pub(crate) fn stop(self, is_done: bool) {
        let stream = text(&self.shared.settings.stream);
        let took = self.start.elapsed().as_secs_f64();
        histogram!("redis_streams_duration_seconds", "stream" => stream.clone()).record(took);
        if is_done {
            counter!("redis_streams_processed", "stream" => stream).increment(1);
        }
    }
}

/// The label of all consumers that this crate created.
const OWN: &str = "bourn";

/// Reads the gauges from the server. `known` are the consumers that had a gauge the last time:
/// those that are gone have nothing pending.
pub(crate) async fn measure(
    shared: &Shared,
    consumers: &[ConsumerInfo],
    known: &mut Vec<String>,
) -> Result<(), Error> {
    let settings = &shared.settings;
    let (stream, group) = (text(&settings.stream), text(&settings.group));
    let length = shared.client.send(XLen::new(&settings.stream)).await?;
    gauge!("redis_streams_length", "stream" => stream.clone()).set(length as f64);
    let set = |name: &str, pending: u64| {
        let name = name.to_owned();
        let labels = [("stream", stream.clone()), ("group", group.clone()), ("consumer", name)];
        gauge!("redis_streams_pending", &labels).set(pending as f64);
    };
    let mut now = BTreeMap::new();
    for info in consumers {
        let is_own = info.name.starts_with(CONSUMER_PREFIX);
        let name = if is_own { OWN.to_owned() } else { text(&info.name) };
        *now.entry(name).or_insert(0) += info.pending;
    }
    known.iter().filter(|name| !now.contains_key(*name)).for_each(|name| set(name, 0));
    now.iter().for_each(|(name, pending)| set(name, *pending));
    *known = now.into_keys().collect();
    if settings.dead_letter.is_some() {
        let dead = letter_count::count(shared).await?.own;
        gauge!("bourn_dead_letters", "stream" => stream, "group" => group).set(dead as f64);
    }
    Ok(())
}
