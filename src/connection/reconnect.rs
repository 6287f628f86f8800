//! Connects, passes the socket to the driver, and reconnects.
//!
//! A random delay passes between two attempts. Requests that callers queue meanwhile wait for the
//! next socket, each until its own deadline.

use super::backoff::Backoff;
use super::dialler::Dialler;
use super::driver::{Alarm, Driver};
use super::enqueue::Patience;
use super::establish::{Established, establish};
use super::event::Event;
use super::outbox::Shared;
use super::renew::Renewal;
use crate::config::Config;
use crate::error::{ConnectError, Disconnect};
use crate::random;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{Instant, sleep};

/// Makes the first connection: retries for as long as the settings say, unless the error is
/// permanent.
pub(super) async fn first(config: &Config, dialler: &Dialler) -> Result<Established, ConnectError> {
    let deadline = Instant::now().checked_add(config.wait_for_server);
    let mut backoff = Backoff::new(config.reconnect_min, config.reconnect_max);
    loop {
        let error = match establish(config, dialler).await {
            Ok(established) => return Ok(established),
            Err(error) => error,
        };
        let after = backoff.delay(random::fraction());
        let late = deadline.is_some_and(|deadline| Instant::now() + after >= deadline);
        if late || error.is_permanent() {
            return Err(error);
        }
        sleep(after).await;
    }
}

/// Keeps a connection up until it is closed.
pub(super) async fn run(
    end: End,
    config: Arc<Config>,
    dialler: Dialler,
    patience: Patience,
    first: Option<Established>,
) {
    let shared = Arc::clone(&end.0);
    let mut backoff = Backoff::new(config.reconnect_min, config.reconnect_max);
    let mut next = first;
    // A lazy client has not tried yet.
    let mut at_once = next.is_none();
    loop {
        if next.is_none() {
            let connecting = reconnect(&shared, &config, &dialler, &mut backoff, at_once);
            next = while_open(&shared, connecting).await;
            at_once = false;
            if let Some(established) = &next {
                // A listener of this event can read the connection's id and server.
                shared.set_greeting(established.greeting.clone());
                shared.events().emit(Event::Connected { server: shared.server() });
            }
            shared.before_next_connection();
        }
        let Some(Established { io, input, credentials, .. }) = next.take() else { break };
        backoff.connected(Instant::now().into_std());
        let driver = Driver::new(io, Arc::clone(&shared), input, &config);
        // Most connections have no provider: their driver is polled directly.
        let reason = match Renewal::of(&shared, &config, patience, credentials) {
            Some(renewal) => renewal.drive(driver).await,
            None => driver.await,
        };
        backoff.disconnected(Instant::now().into_std());
        shared.events().emit(Event::Disconnected { reason: reason.clone() });
        if matches!(reason, Disconnect::Closed) {
            break;
        }
    }
    drop(end);
}

async fn reconnect(
    shared: &Shared,
    config: &Config,
    dialler: &Dialler,
    backoff: &mut Backoff,
    mut at_once: bool,
) -> Established {
    loop {
        if shared.is_parked() {
            // A request wakes this task, and is not kept waiting.
            poll_fn(|cx| {
                // Registered first: a request may come in between.
                shared.sleep(cx);
                if shared.is_parked() { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            at_once = true;
        }
        if !std::mem::take(&mut at_once) {
            let after = backoff.delay(random::fraction());
            shared.events().emit(Event::Reconnecting { after });
            sleep(after).await;
        }
        match establish(config, dialler).await {
            Ok(established) => return established,
            Err(error) => {
                if error.is_permanent() {
                    backoff.slow();
                }
                let error = Arc::new(error);
                shared.not_connected(Arc::clone(&error));
                shared.events().emit(if error.is_credentials() {
                    Event::CredentialsRejected { error }
                } else {
                    Event::ConnectFailed { error }
                });
            }
        }
    }
}

/// Polls the future until it is ready or the connection is closed, and settles overdue callers
/// meanwhile.
async fn while_open<T>(shared: &Arc<Shared>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut alarm = Alarm::new(Arc::clone(shared), None);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        shared.sleep(cx);
        loop {
            match alarm.poll(cx) {
                Some(Disconnect::Closed) => return Poll::Ready(None),
                // There is no connection to close; the alarm's other tasks continue.
                Some(_) => {}
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Notifies all waiting callers however the task ends, also with its runtime or before its first
/// poll.
pub(super) struct End(pub(super) Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
        self.0.events().end();
    }
}
