//! Connection state changes, delivered to listeners.
//!
//! Each listener has its own bounded mailbox. A slow listener misses the oldest events and receives
//! their number. Nothing waits for a listener.

use super::event::Event;
use super::panics::caught;
use super::sync::{Mutex, MutexGuard};
#[cfg(feature = "tracing")]
use super::trace;
use crate::config::Config;
use crate::error::Disconnect;
use futures_core::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// The events of one connection: a [`Stream`] that ends when the connection is closed permanently.
///
/// The first event is the current state: `Connected` or `Disconnected`. A slow listener delays
/// nothing: beyond [`Config::events_buffer`](crate::Config::events_buffer) the oldest events are
/// dropped, and [`Event::Missed`] has their number.
///
/// # Cancel safety
///
/// Cancel-safe: dropping a future that waits for the next event loses no event. The connection does
/// not depend on its listeners.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::Event;
///
/// // A health check that follows the connection.
/// let mut events = client.events();
/// tokio::spawn(async move {
///     while let Some(event) = events.next().await {
///         println!("up: {}", matches!(event, Event::Connected { .. }));
///     }
/// });
/// # Ok(()) }
/// ```
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

/// A function that is called with each event of a connection, after its listeners have it.
pub(crate) struct Hook(pub(crate) Box<dyn Fn(&Event) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// The distributor of a connection's events.
#[derive(Debug)]
pub(crate) struct Publisher {
    hook: Option<Hook>,
    limit: usize,
    address: String,
    #[cfg(feature = "tracing")]
    shown: Mutex<trace::LogLimits>,
    listeners: Mutex<Listeners>,
}

#[derive(Debug)]
struct Listeners {
    /// The current state.
    now: Event,
    mailboxes: Vec<Weak<Mutex<Mailbox>>>,
    ended: bool,
}

impl Publisher {
    pub(crate) fn new(config: &Config, hook: Option<Hook>) -> Self {
        let now = Event::Disconnected { reason: Disconnect::NotYet };
        let listeners = Listeners { now, mailboxes: Vec::new(), ended: false };
        Self {
            hook,
            limit: config.events_buffer,
            address: config.address.to_string(),
            #[cfg(feature = "tracing")]
            shown: Mutex::new(trace::LogLimits::default()),
            listeners: Mutex::new(listeners),
        }
    }

    /// Returns the address that is dialled.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends an event to every listener.
    pub(crate) fn emit(&self, event: Event) {
        let told = self.hook.as_ref().map(|hook| (hook, event.clone()));
        // The user's subscriber may panic.
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
        if let Some((Hook(hook), event)) = told {
            hook(&event);
        }
    }

    /// Ends every listener's stream.
    pub(crate) fn end(&self) {
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

    /// Creates a listener.
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

/// Wakes listeners. A waker that panics does not prevent the others from being woken.
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
    /// Returns the next event; `None` after the last event of a connection that is closed
    /// permanently.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Event>> {
        // A waker is foreign code: it is cloned and dropped without holding the lock.
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

/// Nothing panics while holding these locks, so poisoning is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn after(ms: u64) -> Event {
        Event::Reconnecting { after: Duration::from_millis(ms) }
    }

    fn take(events: &mut Events) -> Option<String> {
        match events.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(format!("{event:?}")),
            Poll::Pending => None,
        }
    }

    fn publisher(limit: usize) -> Publisher {
        Publisher::new(&Config::tcp("localhost", 1).events_buffer(limit), None)
    }

    #[test]
    fn first_event_is_the_current_state() {
        let publisher = publisher(4);
        publisher.emit(Event::Disconnected { reason: Disconnect::Eof });
        publisher.emit(after(1));
        let mut events = publisher.listen();
        assert_eq!(
            take(&mut events).unwrap(),
            "Some(Disconnected { reason: the server closed the connection })"
        );
        assert_eq!(take(&mut events), None);
    }

    #[test]
    fn slow_listener_misses_the_oldest_events_and_receives_their_number() {
        let publisher = publisher(2);
        let mut events = publisher.listen();
        (0..4).for_each(|ms| publisher.emit(after(ms)));
        assert_eq!(take(&mut events).unwrap(), "Some(Missed { events: 3 })");
        assert_eq!(take(&mut events).unwrap(), "Some(Reconnecting { after: 2ms })");
        assert_eq!(take(&mut events).unwrap(), "Some(Reconnecting { after: 3ms })");
        assert_eq!(take(&mut events), None);
    }

    #[test]
    fn events_before_the_end_are_still_delivered() {
        let publisher = publisher(4);
        let mut events = publisher.listen();
        publisher.emit(after(1));
        publisher.end();
        assert!(take(&mut events).is_some_and(|event| event.contains("not connected yet")));
        assert!(take(&mut events).is_some_and(|event| event.contains("1ms")));
        assert_eq!(take(&mut events).unwrap(), "None");
        let mut late = publisher.listen();
        assert!(take(&mut late).is_some_and(|event| event.contains("not connected yet")));
        assert_eq!(take(&mut late).unwrap(), "None");
    }

    #[test]
    fn dropped_listener_is_removed() {
        let publisher = publisher(4);
        drop(publisher.listen());
        publisher.emit(after(1));
        assert!(lock(&publisher.listeners).mailboxes.is_empty());
    }
}
