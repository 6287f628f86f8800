//! The state shared by all handles of one queue, and the handle itself. An operation.

use crate::client::{Client, Durability, Durable, Identity};
use crate::command::{Raw, XCfgSet, XGroupCreate, XInfoStream, XLen, XPending};
use crate::entry::Entry;
use crate::error::{Code, Error};
use crate::id::{EntryId, StartAt};
#[cfg(feature = "tracing")]
use crate::queue::codec::propagate::Propagator;
use crate::queue::codec::{Codec, CodecError, FieldList, Payload};
use crate::queue::error::{QueueError, SettingsError};
use crate::queue::event::{EVENTS_KEPT, QueueEvent, QueueEvents};
use crate::queue::first_use::FirstUse;
use crate::queue::lanes::Lanes;
use crate::queue::other_groups::{self, OtherGroup};
use crate::queue::policy::capabilities::{Capabilities, Denied, is_denied};
use crate::queue::policy::crowd::Crowd;
use crate::queue::policy::server_time::ServerTime;
use crate::queue::policy::window::Window;
use crate::queue::settings::Settings;
use crate::resp::ProtocolError;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, broadcast, watch};
use tokio::time::Instant;

/// The state shared by all handles of one queue.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// The client with which the queue was opened.
    pub(crate) origin: Identity,
    pub(crate) settings: Settings,
    /// The server's time of day.
    pub(crate) time: Arc<Mutex<ServerTime>>,
    /// For a stream that keeps what is done: all entries up to this one were acknowledged.
    acknowledged: Arc<Mutex<EntryId>>,
    /// The newer commands that the server refused.
    pub(crate) denied: Arc<Denied>,
    /// The count of dead letters, when it was last taken.
    pub(crate) letters: Arc<Mutex<LetterCount>>,
    /// Whether delayed jobs wait at the server.
    pub(crate) wheel: Arc<FirstUse>,
    /// Whether the queue has recurring jobs.
    pub(crate) recurring: Arc<FirstUse>,
    /// The other consumers of the group.
    pub(crate) crowd: Crowd,
    /// The time until which this consumer does the maintenance of the group.
    pub(crate) leads: watch::Sender<Option<Instant>>,
    /// The producer ids with which jobs are added on the connection of this client.
    pub(crate) lanes: Arc<Lanes>,
    /// The connection of jobs that must be kept, and its producer ids.
    durable: OnceLock<Durable>,
    pub(crate) durable_lanes: Arc<Lanes>,
    opened: OnceCell<()>,
    events: broadcast::Sender<QueueEvent>,
    /// The number of pending entries, and when it was read.
    pending: Arc<Mutex<Option<(Instant, u64)>>>,
}

/// The letters of one queue in its dead-letter stream, which others may share.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LetterCount {
    /// The letters of the queue.
    pub(crate) own: u64,
    /// The first of them.
    pub(crate) oldest: Option<EntryId>,
    /// All entries of the stream.
    pub(crate) length: u64,
    /// The last id that the stream ever had.
    pub(crate) last: EntryId,
}

/// The number of pending entries above which setting an idle time is slow.
const MANY_PENDING: u64 = 10_000;

/// The time for which that number is cached.
const CACHED: Duration = Duration::from_secs(1);

impl Shared {
    pub(crate) fn new(client: Client, settings: Settings) -> Self {
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        Self {
            origin: client.identity(),
            client,
            settings,
            time: Arc::default(),
            acknowledged: Arc::default(),
            denied: Arc::default(),
            letters: Arc::default(),
            wheel: Arc::default(),
            recurring: Arc::default(),
            crowd: Crowd::default(),
            leads: watch::Sender::default(),
            lanes: Arc::default(),
            durable: OnceLock::new(),
            durable_lanes: Arc::default(),
            opened: OnceCell::new(),
            events,
            pending: Arc::default(),
        }
    }

    /// Returns the same queue with another connection to its server.
    pub(crate) fn with_client(&self, client: Client) -> Self {
        Self {
            client,
            origin: self.origin.clone(),
            settings: self.settings.clone(),
            time: Arc::clone(&self.time),
            acknowledged: Arc::clone(&self.acknowledged),
            denied: Arc::clone(&self.denied),
            letters: Arc::clone(&self.letters),
            wheel: Arc::clone(&self.wheel),
            recurring: Arc::clone(&self.recurring),
            crowd: self.crowd.for_another(),
            leads: watch::Sender::default(),
            lanes: Arc::default(),
            durable: OnceLock::new(),
            durable_lanes: Arc::default(),
            opened: self.opened.clone(),
            events: self.events.clone(),
            pending: Arc::clone(&self.pending),
        }
    }

    /// Returns the connection of jobs that must be kept.
    pub(crate) fn durable(&self, durability: Durability) -> Durable {
        self.durable.get_or_init(|| self.client.durable(durability)).with(durability)
    }

    /// Creates the stream and the group, and validates the settings against the server, unless that
    /// was done before.
    pub(crate) async fn opened(&self) -> Result<(), QueueError> {
        self.opened.get_or_try_init(|| self.open()).await.copied()
    }

    async fn open(&self) -> Result<(), QueueError> {
        let Settings { stream, group, dead_letter, retention, dedupe, .. } = &self.settings;
        // Everything is checked before anything is created: a group that stays after a mistaken
        // `open` keeps the workers from opening the queue.
        if dedupe.is_some() && !self.has_idmp() {
            return Err(SettingsError::TooOld("dedupe_window needs XCFGSET (Redis 8.6)").into());
        }
        let others = match self.other_groups().await {
            Ok(others) => others,
            Err(error) if error.code() == Some(&Code::WrongType) => {
                return Err(SettingsError::NotAStream(show(stream)).into());
            }
            Err(error) => return Err(error.into()),
        };
        if retention.deletes() && !others.is_empty() {
            let names: Vec<String> = others.iter().map(OtherGroup::name).collect();
            return Err(SettingsError::OtherGroups(names.join(", ").into()).into());
        }
        let differing = others.iter().filter_map(|other| {
            Some(format!("{} ({})", other.name(), other.differs(retention.kind())?))
        });
        let differing: Vec<String> = differing.collect();
        if !differing.is_empty() {
            return Err(SettingsError::OtherRetention(differing.join(", ").into()).into());
        }
        if let Some(key) = dead_letter {
            match self.client.send(XLen::new(key)).await {
                Err(error) if error.code() == Some(&Code::WrongType) => {
                    return Err(SettingsError::DeadLettersNotAStream(show(key)).into());
                }
                result => drop(result?),
            }
        }
        let mut create = XGroupCreate::new(stream, group, StartAt::START).mk_stream();
        if let Some(read) = self.trimmed_before().await? {
            create = create.entries_read(read);
        }
        match self.client.send(create.if_missing()).await {
            Err(error) if error.code() == Some(&Code::WrongType) => {
                return Err(SettingsError::NotAStream(show(stream)).into());
            }
            result => drop(result?),
        }
        self.record_retention().await?;
        self.set_window().await?;
        if let Some(policy) = self.evicting().await {
            self.emit(QueueEvent::MayBeEvicted { policy: policy.into() });
        }
        Ok(())
    }

    /// Returns how many entries were trimmed before a group begins at the start of the stream, so
    /// that the group has not missed them. `None` if trimmed entries are not counted, or the number
    /// is not known.
    pub(crate) async fn trimmed_before(&self) -> Result<Option<u64>, Error> {
        if !self.settings.retention.is_lossy() || !self.capabilities().deleted {
            return Ok(None);
        }
        match self.client.send(XInfoStream::new(&self.settings.stream)).await {
            Ok(info) => Ok(info.entries_added.map(|added| added.saturating_sub(info.length))),
            Err(error) if is_missing(&error) => Ok(Some(0)),
            Err(error) if is_withheld(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the other groups that read the stream.
    pub(crate) async fn other_groups(&self) -> Result<Vec<OtherGroup>, Error> {
        other_groups::list(&self.client, &self.settings).await
    }

    /// Records the retention at the server, for other groups.
    pub(crate) async fn record_retention(&self) -> Result<(), Error> {
        other_groups::record(&self.client, &self.settings).await
    }

    /// Sets the window in which the stream recognises a job that is sent again, where it is set in
    /// the queue's settings or is too small. Records where it stays too small.
    pub(crate) async fn set_window(&self) -> Result<(), Error> {
        if !self.has_idmp() {
            return Ok(());
        }
        if let Some(window) = self.settings.dedupe {
            self.send_window(window).await?;
        }
        let found = self.window().await?;
        let mut is_short = !self.is_long_enough(found);
        if let Some(found) = found.filter(|_| is_short) {
            match self.send_window(found.union(self.needed_window())).await {
                Ok(()) => is_short = false,
                Err(error) if is_denied(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if !self.denied.short_window(is_short) && is_short {
            self.emit(QueueEvent::ShortDedupeWindow {
                window: found.map(|Window { time, ids }| (time, ids)),
            });
        }
        Ok(())
    }

    /// Sets the window again if the stream's has become too small.
    pub(crate) async fn check_window(&self, found: Option<(Duration, u64)>) -> Result<(), Error> {
        let found = found.map(|(time, ids)| Window { time, ids });
        if found.is_none() || self.is_long_enough(found) {
            return Ok(());
        }
        self.set_window().await
    }

    /// Whether jobs are recognised for as long as they may be sent again.
    fn is_long_enough(&self, found: Option<Window>) -> bool {
        found.is_some_and(|found| found.covers(self.needed_window()))
    }

    /// Returns the window that the queue needs.
    fn needed_window(&self) -> Window {
        let (time, ids) = self.client.idmp_window();
        Window::needed(Window { time, ids })
    }

    /// Returns the window of the stream; `None` if it is not known.
    pub(crate) async fn window(&self) -> Result<Option<Window>, Error> {
        match self.client.send(XInfoStream::new(&self.settings.stream)).await {
            Ok(info) => {
                Ok(info.idmp.map(|idmp| Window { time: idmp.duration, ids: idmp.max_size }))
            }
            // It was deleted just now: a new one has the server's default.
            Err(error) if is_missing(&error) || is_withheld(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn send_window(&self, Window { time, ids }: Window) -> Result<(), Error> {
        let set = XCfgSet::new(&self.settings.stream).idmp_duration(time).idmp_max_size(ids);
        self.client.send(set).await
    }

    /// Returns the eviction policy of the server, if it may delete keys without an expiry. `None` also
    /// where CONFIG GET is not allowed.
    pub(crate) async fn evicting(&self) -> Option<String> {
        let ask = Raw::new("CONFIG GET").arg("maxmemory-policy");
        let reply = self.client.send(ask).await.ok()?;
        // The name and the value.
        let policy = reply.as_list()?.get(1)?.as_str()?;
        policy.starts_with("allkeys-").then(|| policy.to_owned())
    }

    /// Returns the capabilities of the server that is connected now, without commands that it
    /// refused before.
    pub(crate) fn capabilities(&self) -> Capabilities {
        self.denied.limit(Capabilities::of(self.client.server().as_deref()))
    }

    /// Whether the server has IDMP, also where the queue does not rely on it.
    pub(crate) fn has_idmp(&self) -> bool {
        Capabilities::of(self.client.server().as_deref()).idmp
    }

    /// Whether the server has IDMP, and the stream forgets ids too soon to rely on it.
    pub(crate) fn has_short_window(&self) -> bool {
        self.has_idmp() && !self.capabilities().idmp
    }

    /// Whether setting an entry's idle time would be slow at the server.
    ///
    /// From Redis 8.4 on, pending entries are also kept in the order of their last delivery.
    /// Inserting an entry with a longer idle time walks past all entries with a shorter one: 15 ms
    /// among 100,000.
    pub(crate) async fn has_many_pending(&self) -> Result<bool, Error> {
        if !self.capabilities().claim {
            return Ok(false);
        }
        let known = *self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.filter(|(at, _)| at.elapsed() < CACHED) {
            return Ok(count > MANY_PENDING);
        }
        let Settings { stream, group, .. } = &self.settings;
        let count = self.client.send(XPending::new(stream, group)).await?.count;
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), count));
        Ok(count > MANY_PENDING)
    }

    /// Records that the group has acknowledged all entries up to this one.
    pub(crate) fn note_acknowledged(&self, id: EntryId) {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Returns an id up to which the group has acknowledged all entries.
    pub(crate) fn acknowledged(&self) -> EntryId {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
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
}

/// Whether there is no such stream.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Server(error) if error.message() == b"no such key")
}

/// Whether the reply to XINFO STREAM cannot be had: it has the first and the last entry, and is too
/// large, or the command is refused.
fn is_withheld(error: &Error) -> bool {
    let is_large = matches!(error, Error::Protocol { source: ProtocolError::TooLarge { .. }, .. });
    is_large || is_denied(error)
}

/// A queue: a stream, a consumer group, and the policies for its jobs. Clones are cheap.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Queue, RawBytes};
///
/// let queue: Queue<Vec<u8>> = Queue::builder(client, "thumbnails").open(RawBytes).await?;
/// queue.producer().enqueue(&b"cat.png".to_vec()).await?;
/// println!("{:?} jobs are ready", queue.stats().await?.ready);
/// # Ok(()) }
/// ```
pub struct Queue<T> {
    shared: Arc<Shared>,
    codec: Arc<dyn Codec<T>>,
}

impl<T: 'static> Queue<T> {
    pub(crate) fn new(shared: Arc<Shared>, codec: Arc<dyn Codec<T>>) -> Self {
        Self { shared, codec }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the fields of the payload alone.
    pub(crate) fn payload_fields(&self, payload: &T) -> Result<FieldList, CodecError> {
        let mut fields = FieldList::new();
        self.codec.encode(payload, &mut fields)?;
        Ok(fields)
    }

    pub(crate) fn encoded(&self, payload: &T) -> Result<FieldList, CodecError> {
        self.encoded_with(payload, &[])
    }

    /// Returns the fields of a job: payload, headers, and the trace context.
    pub(crate) fn encoded_with(
        &self,
        payload: &T,
        headers: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<FieldList, CodecError> {
        let mut fields = self.payload_fields(payload)?;
        for (name, value) in headers {
            fields.header(name, value);
        }
        #[cfg(feature = "tracing")]
        if let Some(Propagator(propagator)) = &self.shared.settings.propagator {
            propagator.inject(&mut |name, value| {
                if headers.iter().all(|(header, _)| header != name.as_bytes()) {
                    fields.header(name.as_bytes(), value.as_bytes());
                }
            });
        }
        Ok(fields)
    }

    pub(crate) fn decoded(&self, entry: &Entry) -> Result<T, CodecError> {
        self.codec.decode(Payload::new(entry.by_ref()))
    }

    /// Returns the key of the stream.
    #[must_use]
    pub fn stream(&self) -> &[u8] {
        &self.shared.settings.stream
    }

    /// Returns the name of the consumer group.
    #[must_use]
    pub fn group(&self) -> &[u8] {
        &self.shared.settings.group
    }

    /// Returns the key of the dead-letter stream; `None` if jobs without attempts left are dropped.
    #[must_use]
    pub fn dead_letter_key(&self) -> Option<&[u8]> {
        self.shared.settings.dead_letter.as_deref()
    }

    /// Returns the keys that the queue may use: its stream, its dead-letter stream, and those of its
    /// delayed jobs and its workers; to delete it, for example. Most of them exist only while jobs are
    /// delayed, or when workers have run for ten seconds.
    #[must_use]
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.shared.settings.keys()
    }

    /// Returns the client that the queue uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Returns the queue's events from now on, as seen by this handle, its clones, and the
    /// producers, consumers and workers created from them.
    #[must_use]
    pub fn events(&self) -> QueueEvents {
        QueueEvents(self.shared.listen())
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), codec: Arc::clone(&self.codec) }
    }
}

impl<T: 'static> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("stream", &self.stream().escape_ascii().to_string())
            .field("group", &self.group().escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// Returns a key as errors show it.
fn show(key: &[u8]) -> Box<str> {
    key.escape_ascii().to_string().into()
}
