//! An activity feed: one stream, two groups that each see all of it, and a live feed for browsers.
//!
//! `REDIS_URL=redis://127.0.0.1 LISTEN=127.0.0.1:8081 feed`
//!
//! * `POST /activities` with `{"actor":"ann","verb":"likes","object":"post:7"}` adds an entry to
//!   `feed:activities`.
//! * The group `notifications` and the group `statistics` are each given every entry, and count
//!   what they have handled.
//! * `GET /feed` is a server-sent event stream of new activities. After a reconnect the browser
//!   sends `Last-Event-ID`, and gets what it has missed first. `GET /feed?since=SECONDS` begins
//!   with the activities since that unix time.
//!
//! One tail of the stream serves all browsers: a connection to Redis for each of them would not
//! scale. A browser that is too slow for the live feed reads on from the stream instead, where
//! nothing is lost.

use anyhow::Context;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bourn::{
    Client, Code, Entry, EntryId, GroupFrom, ReadFrom, StartAt, XAck, XAdd, XGroupCreate, XRead,
    XReadGroup, XRevRange,
};
use bourn_services::{log, redis_url, stop_signal};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "feed:activities";
const GROUPS: [&str; 2] = ["notifications", "statistics"];

/// The age up to which activities are kept. Older ones are trimmed as new ones are added.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Activities of one page of a replay, and the most that a browser may be behind the live feed.
const PAGE: u64 = 256;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Activity {
    actor: String,
    verb: String,
    object: String,
}

impl Activity {
    /// The activity of an entry; `None` if a field is missing or not text.
    fn of(entry: &Entry) -> Option<Self> {
        let field = |name| Some(entry.get_str(name).ok()??.to_owned());
        Some(Self { actor: field("actor")?, verb: field("verb")?, object: field("object")? })
    }
}

#[derive(Clone)]
struct App {
    client: Client,
    live: broadcast::Sender<Entry>,
    stop: CancellationToken,
    handled: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8081".to_owned());
    let client = Client::connect(redis_url()).await?;
    for group in GROUPS {
        create_group(&client, group).await?;
    }
    let (live, _) = broadcast::channel(PAGE as usize);
    let (stop, handled) = (CancellationToken::new(), Arc::default());
    let app = App { client, live, stop, handled };

    let mut tasks = tokio::task::JoinSet::new();
    // The tail begins before any browser can, so that none of them misses an entry.
    tasks.spawn(fan_out(app.clone(), newest(&app.client).await?));
    for group in GROUPS {
        tasks.spawn(consume(app.clone(), group));
    }
    let listener =
        TcpListener::bind(&listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/activities", post(add))
        .route("/feed", get(feed))
        .route("/handled", get(handled_counts))
        .with_state(app.clone());
    let stop = app.stop.clone();
    let shutdown = async move {
        stop_signal().await;
        // Event streams end with it; otherwise the server would wait for them forever.
        stop.cancel();
    };
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await?;
    app.stop.cancel();
    while tasks.join_next().await.is_some() {}
    app.client.close().await;
    Ok(())
}

async fn create_group(client: &Client, group: &str) -> Result<(), bourn::Error> {
    // A new group starts at the beginning of the stream, so it misses nothing.
    let create = XGroupCreate::new(STREAM, group, StartAt::START).mk_stream();
    client.send(create.if_missing()).await?;
    Ok(())
}

/// Sends every entry after this one to all browsers.
async fn fan_out(app: App, after: EntryId) {
    let mut tail = app.client.tail(STREAM, after);
    loop {
        let next = tokio::select! {
            next = tail.next() => next,
            () = app.stop.cancelled() => return,
        };
        match next {
            // An error means that there is no receiver at the moment.
            Some(Ok(entry)) => drop(app.live.send(entry)),
            // The tail continues after the last entry.
            Some(Err(error)) => tracing::warn!("the tail of {STREAM} is interrupted: {error}"),
            None => return,
        }
    }
}

/// Handles the entries of a group, each at least once: an entry is acknowledged after it was
/// handled.
///
/// The consumer keeps its name, so what it had not acknowledged before a restart comes first.
async fn consume(app: App, group: &'static str) {
    let mut from = GroupFrom::ALL_PENDING;
    while !app.stop.is_cancelled() {
        match consume_batch(&app, group, &mut from).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!("the group {group} is interrupted: {error}");
                if error.code() == Some(&Code::NoGroup) {
                    let _ = create_group(&app.client, group).await;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                // Entries that were in flight when the connection was lost are pending.
                from = GroupFrom::ALL_PENDING;
            }
        }
    }
}

async fn consume_batch(
    app: &App,
    group: &'static str,
    from: &mut GroupFrom,
) -> Result<(), bourn::Error> {
    let mut reader = app.client.reader().await?;
    loop {
        let read = XReadGroup::new(group, "feed").stream(STREAM, *from).count(PAGE);
        let streams = tokio::select! {
            streams = reader.read(read.block(Duration::from_secs(5))) => streams?,
            () = app.stop.cancelled() => return Ok(()),
        };
        if streams.is_empty() && *from != GroupFrom::New {
            *from = GroupFrom::New;
            continue;
        }
        for entry in streams.iter() {
            // Notifications would be sent here, and statistics written. An entry that was deleted
            // has no fields.
            if !entry.is_deleted() {
                let mut handled = app.handled.lock().unwrap_or_else(PoisonError::into_inner);
                *handled.entry(group).or_default() += 1;
            }
        }
        let ids: Vec<EntryId> = streams.iter().map(|entry| entry.id()).collect();
        if !ids.is_empty() {
            app.client.send(XAck::new(STREAM, group, &ids)).await?;
        }
    }
}

async fn add(State(app): State<App>, Json(activity): Json<Activity>) -> Response {
    let Activity { actor, verb, object } = &activity;
    let oldest = EntryId::from_time(SystemTime::now() - KEPT);
    let add = XAdd::new(STREAM).field("actor", actor).field("verb", verb).field("object", object);
    match app.client.send(add.trim(bourn::Trim::min_id(oldest).approximate())).await {
        Ok(id) => (StatusCode::CREATED, id.to_string()).into_response(),
        Err(error) => {
            tracing::error!("cannot add an activity: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
        }
    }
}

async fn handled_counts(State(app): State<App>) -> Json<BTreeMap<&'static str, u64>> {
    Json(app.handled.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

#[derive(Debug, Deserialize)]
struct FeedQuery {
    /// Unix time in seconds.
    since: Option<u64>,
}

async fn feed(
    State(app): State<App>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    // Listening begins before the replay, so there is no gap between the two.
    let live = app.live.subscribe();
    let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let since = query.since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let from = match (last_seen, since) {
        (Some(id), _) => ReadFrom::After(id),
        (None, Some(time)) => ReadFrom::since(time),
        // A browser that asks for nothing older begins at the end of the stream.
        (None, None) => newest(&app.client).await.map(ReadFrom::After).map_err(|error| {
            tracing::error!("cannot begin a feed: {error}");
            StatusCode::SERVICE_UNAVAILABLE
        })?,
    };
    let stop = app.stop.clone().cancelled_owned();
    let feed = Feed { app, live, is_live: false, page: VecDeque::new(), from, last: EntryId::MIN };
    let events = stream::unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(events.take_until(stop)).keep_alive(KeepAlive::default()))
}

/// The id of the newest entry.
async fn newest(client: &Client) -> Result<EntryId, bourn::Error> {
    let newest = client.send(XRevRange::new(STREAM, ..).count(1)).await?;
    Ok(newest.first().map_or(EntryId::MIN, |entry| entry.id()))
}

/// The feed of one browser: pages of a replay first, then the live feed.
struct Feed {
    app: App,
    live: broadcast::Receiver<Entry>,
    is_live: bool,
    page: VecDeque<Entry>,
    /// The position of the next page.
    from: ReadFrom,
    /// The last entry sent. The replay and the live feed overlap.
    last: EntryId,
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let Some(entry) = self.entry().await? else { continue };
            if entry.id() > self.last {
                self.last = entry.id();
                self.from = ReadFrom::After(self.last);
                let Some(activity) = Activity::of(&entry) else { continue };
                return Event::default().id(entry.id().to_string()).json_data(activity).ok();
            }
        }
    }

    /// The next entry, if it is there; `None` when the feed has ended.
    async fn entry(&mut self) -> Option<Option<Entry>> {
        if let Some(entry) = self.page.pop_front() {
            return Some(Some(entry));
        }
        if !self.is_live {
            self.read_page().await;
            return Some(None);
        }
        match self.live.recv().await {
            Ok(entry) => Some(Some(entry)),
            // Too slow: what was missed is read from the stream.
            Err(RecvError::Lagged(_)) => {
                self.is_live = false;
                Some(None)
            }
            Err(RecvError::Closed) => None,
        }
    }

    async fn read_page(&mut self) {
        let read = XRead::new().stream(STREAM, self.from).count(PAGE);
        match self.app.client.send(read).await {
            Ok(streams) => {
                self.page.extend(streams.iter().map(|entry| entry.to_entry()));
                self.is_live = self.page.is_empty();
            }
            Err(error) => {
                tracing::warn!("a replay is interrupted: {error}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
