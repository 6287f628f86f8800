//! The other groups of a stream, and the retention of each. An operation.

use crate::client::Client;
use crate::command::{XGroupCreateConsumer, XGroupDelConsumer, XInfoConsumers, XInfoGroups};
use crate::error::{Code, Error};
use crate::queue::policy::retention_kind::RetentionKind;
use crate::queue::settings::{OPERATORS, Settings};
use bytes::Bytes;

/// Another group that reads the stream.
#[derive(Debug)]
pub(crate) struct OtherGroup {
    name: Bytes,
    /// The kind that its queue has recorded; `None` for a group of another client.
    pub(crate) kind: Option<RetentionKind>,
}

impl OtherGroup {
    /// Returns the name as errors show it.
    pub(crate) fn name(&self) -> String {
        self.name.escape_ascii().to_string()
    }

    /// Returns the kind, if it is known to differ from this one.
    pub(crate) fn differs(&self, kind: RetentionKind) -> Option<RetentionKind> {
        self.kind.filter(|other| *other != kind)
    }
}

/// Returns the other groups that read the stream; none if there is no stream.
pub(crate) async fn list(client: &Client, settings: &Settings) -> Result<Vec<OtherGroup>, Error> {
    let stream = &settings.stream;
    let groups = match client.send(XInfoGroups::new(stream)).await {
        Err(Error::Server(error)) if error.message() == b"no such key" => return Ok(Vec::new()),
        groups => groups?,
    };
    // Where a dead-letter stream is a queue, there may be the group of its operators.
    let others = groups
        .into_iter()
        .map(|info| info.name)
        .filter(|name| *name != *settings.group && *name != OPERATORS.as_bytes());
    let others: Vec<Bytes> = others.collect();
    let lists = others.iter().map(|name| XInfoConsumers::new(stream, name));
    let lists = client.send_all(lists).await;
    let mut found = Vec::with_capacity(others.len());
    for (name, consumers) in others.into_iter().zip(lists) {
        let consumers = match consumers {
            // It was destroyed just now, or the stream deleted.
            Err(error) if error.code() == Some(&Code::NoGroup) => continue,
            Err(Error::Server(error)) if error.message() == b"no such key" => continue,
            consumers => consumers?,
        };
        let kind = consumers.iter().find_map(|info| RetentionKind::of_marker(&info.name));
        found.push(OtherGroup { name, kind });
    }
    Ok(found)
}

/// Records the retention of our group, in place of another one.
pub(crate) async fn record(client: &Client, settings: &Settings) -> Result<(), Error> {
    let (stream, group, kind) = (&settings.stream, &settings.group, settings.retention.kind());
    let others = RetentionKind::ALL.into_iter().filter(|other| *other != kind);
    let others = others.map(|other| XGroupDelConsumer::new(stream, group, other.marker()));
    let create = XGroupCreateConsumer::new(stream, group, kind.marker());
    let created = client.send(create).await.map(drop);
    let deleted = client.send_all(others).await.into_iter().map(|deleted| deleted.map(drop));
    for result in std::iter::once(created).chain(deleted) {
        match result {
            // The group was destroyed just now, or the user may not do this: other groups then do
            // not know the retention.
            Err(Error::Server(error)) if !error.code().is_retryable() => {}
            result => result?,
        }
    }
    Ok(())
}
