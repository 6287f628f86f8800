//! Core: the state shared by all handles of one queue.

use crate::client::Client;
use crate::command::{XCfgSet, XGroupCreate, XInfoGroups, XLen, XPending};
use crate::error::{Code, Error};
use crate::id::{EntryId, StartAt};
use crate::queue::QueueError;
use crate::queue::SettingsError;
use crate::queue::event::{KEPT, QueueEvent};
use crate::queue::policy::capabilities::Abilities;
use crate::queue::settings::Settings;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, broadcast};

/// The state shared by all handles of one queue.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    /// Whether the key of the dead-letter stream held another type when it was last used.
    pub(crate) blocked: AtomicBool,
    opened: OnceCell<()>,
    events: broadcast::Sender<QueueEvent>,
    /// The number of pending entries, and when it was read.
    pending: Mutex<Option<(Instant, u64)>>,
}

/// The number of pending entries above which setting an idle time is slow.
const CROWD: u64 = 10_000;

/// The time for which that number is cached.
const CACHED: Duration = Duration::from_secs(1);

impl Core {
    pub(crate) fn new(client: Client, settings: Settings) -> Self {
        let (events, _) = broadcast::channel(KEPT);
        Self {
            client,
            settings,
            blocked: AtomicBool::new(false),
            opened: OnceCell::new(),
            events,
            pending: Mutex::default(),
        }
    }

    /// Creates the stream and the group, and validates the settings against the server, unless that
    /// was done before.
    pub(crate) async fn opened(&self) -> Result<(), QueueError> {
        self.opened.get_or_try_init(|| self.open()).await.copied()
    }

    async fn open(&self) -> Result<(), QueueError> {
        let Settings { stream, group, dead_letter, retention, dedupe, .. } = &self.settings;
        let create = XGroupCreate::new(stream, group, StartAt::START).mk_stream();
        match self.client.send(create).await {
            Ok(()) => {}
            Err(error) if error.code() == Some(&Code::BusyGroup) => {}
            Err(error) if error.code() == Some(&Code::WrongType) => {
                return Err(SettingsError::NotAStream(show(stream)).into());
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(key) = dead_letter {
            match self.client.send(XLen::new(key)).await {
                Err(error) if error.code() == Some(&Code::WrongType) => {
                    return Err(SettingsError::DeadLettersNotAStream(show(key)).into());
                }
                result => drop(result?),
            }
        }
        if retention.deletes() {
            let groups = self.client.send(XInfoGroups::new(stream)).await?;
            let others = groups.iter().filter(|info| info.name != **group);
            let others: Vec<String> =
                others.map(|info| info.name.escape_ascii().to_string()).collect();
            if !others.is_empty() {
                return Err(SettingsError::OtherGroups(others.join(", ").into()).into());
            }
        }
        if let Some((time, keys)) = dedupe {
            if !self.abilities().idmp {
                return Err(SettingsError::TooOld("dedupe_window needs XCFGSET (Redis 8.6)").into());
            }
            let set = XCfgSet::new(stream).idmp_duration(*time).idmp_max_size(*keys);
            self.client.send(set).await?;
        }
        Ok(())
    }

    /// Returns the abilities of the server that is connected now.
    pub(crate) fn abilities(&self) -> Abilities {
        Abilities::of(self.client.server().as_deref())
    }

    /// Whether setting an entry's idle time would be slow at the server.
    ///
    /// From Redis 8.4 on, pending entries are also kept in the order of their last delivery.
    /// Inserting an entry with a longer idle time walks past all entries with a shorter one: 15 ms
    /// among 100,000.
    pub(crate) async fn is_crowded(&self) -> Result<bool, Error> {
        if !self.abilities().claim {
            return Ok(false);
        }
        let known = *self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.filter(|(at, _)| at.elapsed() < CACHED) {
            return Ok(count > CROWD);
        }
        let Settings { stream, group, .. } = &self.settings;
        let count = self.client.send(XPending::new(stream, group)).await?.count;
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), count));
        Ok(count > CROWD)
    }

    pub(crate) fn emit(&self, event: QueueEvent) {
        #[cfg(feature = "tracing")]
        event.trace(&self.settings.stream);
        // There may be no receiver.
        let _ = self.events.send(event);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<QueueEvent> {
        self.events.subscribe()
    }

    /// Returns a key that is unique to the job.
    pub(crate) fn idempotency_key(&self, id: EntryId) -> String {
        let Settings { stream, group, .. } = &self.settings;
        format!("{}/{}/{id}", stream.escape_ascii(), group.escape_ascii())
    }
}

/// Returns a key as errors show it.
fn show(key: &[u8]) -> Box<str> {
    key.escape_ascii().to_string().into()
}
