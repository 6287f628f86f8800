//! Core: what the handles of one queue share.

use super::abilities::Abilities;
use super::event::{KEPT, QueueEvent};
use super::settings::Settings;
use crate::client::Client;
use crate::id::EntryId;
use std::sync::atomic::AtomicBool;
use tokio::sync::broadcast;

/// What the handles of one queue share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) client: Client,
    pub(super) settings: Settings,
    /// Whether the key of the dead letters was last seen to hold something else.
    pub(super) blocked: AtomicBool,
    events: broadcast::Sender<QueueEvent>,
}

impl Core {
    pub(super) fn new(client: Client, settings: Settings) -> Self {
        let (events, _) = broadcast::channel(KEPT);
        Self { client, settings, blocked: AtomicBool::new(false), events }
    }

    /// What the server can do that answers now.
    pub(super) fn abilities(&self) -> Abilities {
        Abilities::of(self.client.server().as_deref())
    }

    pub(super) fn tell(&self, event: QueueEvent) {
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "bourn", stream = %self.settings.stream.escape_ascii(), ?event, "queue");
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<QueueEvent> {
        self.events.subscribe()
    }

    /// What tells a job from every other one.
    pub(super) fn idempotency_key(&self, id: EntryId) -> String {
        let Settings { stream, group, .. } = &self.settings;
        format!("{}/{}/{id}", stream.escape_ascii(), group.escape_ascii())
    }
}
