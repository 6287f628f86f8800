//! The events of a connection as events of `tracing` (feature `tracing`), few of them while a server is down.
//!
//! | event | level |
//! |---|---|
//! | connected | INFO; DEBUG if the end of the last connection was not shown |
//! | disconnected, a failed attempt to connect | WARN at first, and then once a minute; DEBUG in between |
//! | credentials rejected | ERROR, as often |
//! | closed, the wait before an attempt | DEBUG |
//!
//! A connection that lived for a minute ends the silence.

use super::events::Event;
use crate::error::Disconnect;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// The time between two warnings of one kind.
const BETWEEN: Duration = Duration::from_secs(60);

/// What was shown of a connection.
#[derive(Debug, Default)]
pub(super) struct Shown {
    connected: Option<Instant>,
    disconnected: Option<Instant>,
    failed: Option<Instant>,
    /// Failed attempts since the last connection.
    attempts: u64,
    /// The end of the last connection, or a failed attempt since, was not shown.
    silent: bool,
}

/// How one event is to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    loud: bool,
    attempts: u64,
}

impl Shown {
    /// Decides whether an event is shown at its level or at DEBUG.
    pub(super) fn decide(&mut self, event: &Event, now: Instant) -> Show {
        let loud = match event {
            Event::Connected { .. } => {
                (self.connected, self.attempts) = (Some(now), 0);
                let loud = !std::mem::replace(&mut self.silent, true);
                return self.show(loud);
            }
            Event::Disconnected { .. } => {
                let lived = self.connected.take().map(|at| now.saturating_duration_since(at));
                if lived.is_none_or(|lived| lived >= BETWEEN) {
                    (self.disconnected, self.failed) = (None, None);
                }
                is_due(&mut self.disconnected, now)
            }
            Event::ConnectFailed { .. } | Event::CredentialsRejected { .. } => {
                self.attempts += 1;
                is_due(&mut self.failed, now)
            }
            Event::Reconnecting { .. } | Event::Missed { .. } => return self.show(false),
        };
        self.silent &= !loud;
        self.show(loud)
    }

    fn show(&self, loud: bool) -> Show {
        Show { loud, attempts: self.attempts }
    }
}

/// Whether a warning is due, the last one of which was at this time.
fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN);
    if due {
        *last = Some(now);
    }
    due
}

/// Emits an event. A subscriber is foreign code: nothing is locked meanwhile.
pub(super) fn emit(address: &str, event: &Event, Show { loud, attempts }: Show) {
    match event {
        Event::Connected { server } => {
            let server = server.as_ref().map(tracing::field::debug);
            if loud {
                info!(address, server, "connected");
            } else {
                debug!(address, server, "connected");
            }
        }
        Event::Disconnected { reason: Disconnect::Closed } => debug!(address, "closed"),
        Event::Disconnected { reason } if loud => {
            warn!(address, %reason, "disconnected, reconnecting");
        }
        Event::Disconnected { reason } => debug!(address, %reason, "disconnected"),
        Event::Reconnecting { after } => debug!(address, ?after, "reconnecting"),
        Event::CredentialsRejected { error } if loud => {
            error!(address, %error, attempts, "credentials rejected");
        }
        Event::ConnectFailed { error } if loud => warn!(address, %error, attempts, "reconnecting"),
        Event::ConnectFailed { error } | Event::CredentialsRejected { error } => {
            debug!(address, %error, attempts, "connect failed");
        }
        Event::Missed { .. } => {}
    }
}
