//! Events: what becomes of a connection, for whoever wants to know.
//!
//! Each listener has a mailbox of its own, which holds so many events and no more: a slow listener misses the oldest, and is
//! told how many. Nobody waits for a listener.

use super::panics::caught;
use super::sync::{Mutex, MutexGuard};
#[cfg(feature = "tracing")]
use super::trace;
use crate::config::Config;
use crate::error::{ConnectError, Disconnect};
use crate::server::Server;
use futures_core::Stream;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Something that happened to a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection stands.
    Connected {
        /// Who answers; `None` where the server does not know HELLO.
        server: Option<Arc<Server>>,
    },
    /// The connection is gone. Unless the client was closed, another one will be made.
    Disconnected {
        /// How it ended.
        reason: Disconnect,
    },
    /// The next attempt to connect comes after this long.
    Reconnecting {
        /// The wait.
        after: Duration,
    },
    /// An attempt to connect failed. There will be more.
    ConnectFailed {
        /// Why.
        error: Arc<ConnectError>,
    },
    /// The server refused the credentials, on a new connection or, after they were changed, on a live one. There will be more
    /// attempts, less often, with the credentials that there are by then.
    CredentialsRejected {
        /// What the server said, without the password.
        error: Arc<ConnectError>,
    },
    /// So many events were dropped, for they were not taken in time; the oldest ones.
    Missed {
        /// How many.
        events: u64,
    },
}

/// The events of one connection: a [`Stream`] that ends when the connection is closed for good.
///
/// The first one says how things stand: `Connected` or `Disconnected`. A listener that is slow holds nothing up: beyond
/// [`Config::events_buffer`](crate::Config::events_buffer) the oldest events are dropped, and [`Event::Missed`] says how many.
///
/// # Cancel safety
///
/// A future that waits for the next event can be dropped; nothing is taken. The connection does not care whether anybody
/// listens.
#[derive(Debug)]
pub struct Events {
    mailbox: Arc<Mutex<Mailbox>>,
}

#[derive(Debug, Default)]
struct Mailbox {
    events: VecDeque<Event>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

/// Where events are told.
#[derive(Debug)]
pub(crate) struct Hub {
    limit: usize,
    address: String,
    #[cfg(feature = "tracing")]
    shown: Mutex<trace::Shown>,
    listeners: Mutex<Listeners>,
}

#[derive(Debug)]
struct Listeners {
    /// How things stand.
    now: Event,
    mailboxes: Vec<Weak<Mutex<Mailbox>>>,
    ended: bool,
}

impl Hub {
    pub(super) fn new(config: &Config) -> Self {
        let now = Event::Disconnected { reason: Disconnect::NotYet };
        let listeners = Listeners { now, mailboxes: Vec::new(), ended: false };
        Self {
            limit: config.events_buffer,
            address: config.address.to_string(),
            #[cfg(feature = "tracing")]
            shown: Mutex::new(trace::Shown::default()),
            listeners: Mutex::new(listeners),
        }
    }

    /// The address that is dialled.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Tells everyone who listens.
    pub(super) fn tell(&self, event: Event) {
        // A subscriber of the user's may panic.
        #[cfg(feature = "tracing")]
        {
            let show = lock(&self.shown).decide(&event, tokio::time::Instant::now());
            let _ = caught(|| trace::emit(&self.address, &event, show));
        }
        let mut wakers = Vec::new();
        let mut listeners = lock(&self.listeners);
        listeners.mailboxes.retain(|mailbox| {
            let Some(mailbox) = mailbox.upgrade() else { return false };
            let mut mailbox = lock(&mailbox);
            mailbox.put(event.clone(), self.limit);
            wakers.extend(mailbox.waker.take());
            true
        });
        if matches!(event, Event::Connected { .. } | Event::Disconnected { .. }) {
            listeners.now = event;
        }
        drop(listeners);
        wake_all(wakers);
    }

    /// There will be no more events.
    pub(super) fn end(&self) {
        let mut wakers = Vec::new();
        let mut listeners = lock(&self.listeners);
        listeners.ended = true;
        for mailbox in listeners.mailboxes.drain(..).filter_map(|mailbox| mailbox.upgrade()) {
            let mut mailbox = lock(&mailbox);
            mailbox.ended = true;
            wakers.extend(mailbox.waker.take());
        }
        drop(listeners);
        wake_all(wakers);
    }

    /// A new listener.
    pub(crate) fn listen(&self) -> Events {
        let mut listeners = lock(&self.listeners);
        let events = VecDeque::from([listeners.now.clone()]);
        let mailbox = Mailbox { events, ended: listeners.ended, ..Mailbox::default() };
        let mailbox = Arc::new(Mutex::new(mailbox));
        if !listeners.ended {
            listeners.mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
            listeners.mailboxes.push(Arc::downgrade(&mailbox));
        }
        Events { mailbox }
    }
}

/// Wakes listeners; a waker of the user's that panics keeps no other from being woken.
fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        let _ = caught(|| waker.wake());
    }
}

impl Mailbox {
    fn put(&mut self, event: Event, limit: usize) {
        if self.events.len() >= limit {
            self.events.pop_front();
            self.missed += 1;
        }
        self.events.push_back(event);
    }

    fn take(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            events => Some(Event::Missed { events }),
        }
    }
}

impl Events {
    /// The next event; `None` when the connection is closed for good and all were taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Event>> {
        // A waker is foreign code: it is cloned and dropped while nothing is locked.
        let mut waker = Some(cx.waker().clone());
        let mut mailbox = lock(&self.mailbox);
        let event = mailbox.take();
        if event.is_some() || mailbox.ended {
            return Poll::Ready(event);
        }
        std::mem::swap(&mut mailbox.waker, &mut waker);
        drop(mailbox);
        Poll::Pending
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(cx)
    }
}

/// Nothing panics while these are locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ms: u64) -> Event {
        Event::Reconnecting { after: Duration::from_millis(ms) }
    }

    fn take(events: &mut Events) -> Option<String> {
        match events.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(format!("{event:?}")),
            Poll::Pending => None,
        }
    }

    fn hub(limit: usize) -> Hub {
        Hub::new(&Config::tcp("localhost", 1).events_buffer(limit))
    }

    #[test]
    fn the_first_event_says_how_things_stand() {
        let hub = hub(4);
        hub.tell(Event::Disconnected { reason: Disconnect::Eof });
        hub.tell(after(1));
        let mut events = hub.listen();
        assert_eq!(
            take(&mut events).unwrap(),
            "Some(Disconnected { reason: the server closed the connection })"
        );
        assert_eq!(take(&mut events), None);
    }

    #[test]
    fn who_is_slow_misses_the_oldest_and_is_told() {
        let hub = hub(2);
        let mut events = hub.listen();
        (0..4).for_each(|ms| hub.tell(after(ms)));
        assert_eq!(take(&mut events).unwrap(), "Some(Missed { events: 3 })");
        assert_eq!(take(&mut events).unwrap(), "Some(Reconnecting { after: 2ms })");
        assert_eq!(take(&mut events).unwrap(), "Some(Reconnecting { after: 3ms })");
        assert_eq!(take(&mut events), None);
    }

    #[test]
    fn what_was_told_before_the_end_is_still_taken() {
        let hub = hub(4);
        let mut events = hub.listen();
        hub.tell(after(1));
        hub.end();
        assert!(take(&mut events).is_some_and(|event| event.contains("not connected yet")));
        assert!(take(&mut events).is_some_and(|event| event.contains("1ms")));
        assert_eq!(take(&mut events).unwrap(), "None");
        let mut late = hub.listen();
        assert!(take(&mut late).is_some_and(|event| event.contains("not connected yet")));
        assert_eq!(take(&mut late).unwrap(), "None");
    }

    #[test]
    fn who_listens_no_more_is_forgotten() {
        let hub = hub(4);
        drop(hub.listen());
        hub.tell(after(1));
        assert!(lock(&hub.listeners).mailboxes.is_empty());
    }
}
