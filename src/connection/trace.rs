//! Emits the events of a connection to `tracing` (feature `tracing`), rate-limited while a server
//! is down.
//!
//! | event | level |
//! |---|---|
//! | connected | INFO; DEBUG if the end of the last connection was logged at DEBUG |
//! | disconnected, a failed attempt to connect | WARN, at most once a minute; otherwise DEBUG |
//! | credentials rejected | ERROR, with the same limit |
//! | closed, the delay before an attempt | DEBUG |
//!
//! A connection that lasted a minute resets the limit.

use super::event::Event;
use crate::error::Disconnect;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// The minimum time between two warnings of one kind.
const BETWEEN: Duration = Duration::from_secs(60);

/// The rate limits of one connection.
#[derive(Debug, Default)]
pub(super) struct LogLimits {
    connected: Option<Instant>,
    disconnected: Option<Instant>,
    failed: Option<Instant>,
    /// Failed attempts since the last connection.
    attempts: u64,
    /// The end of the last connection, and each failed attempt since, were logged at DEBUG.
    hidden: bool,
}

/// The level at which one event is logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogDecision {
    own_level: bool,
    attempts: u64,
}

impl LogLimits {
    /// Decides whether an event is logged at its own level or at DEBUG.
    pub(super) fn decide(&mut self, event: &Event, now: Instant) -> LogDecision {
        let own_level = match event {
            Event::Connected { .. } => {
                (self.connected, self.attempts) = (Some(now), 0);
                let own_level = !std::mem::replace(&mut self.hidden, true);
                return self.decision(own_level);
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
            // The events of a node were logged for the node.
            Event::Reconnecting { .. }
            | Event::Missed { .. }
            | Event::Node { .. }
            | Event::MasterSwitched { .. }
            | Event::WritesHeld
            | Event::WritesReleased { .. }
            | Event::Topology { .. } => return self.decision(false),
        };
        self.hidden &= !own_level;
        self.decision(own_level)
    }

    fn decision(&self, own_level: bool) -> LogDecision {
        LogDecision { own_level, attempts: self.attempts }
    }
}

/// Whether a warning is due; `last` is the time of the previous one.
fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN);
    if due {
        *last = Some(now);
    }
    due
}

/// Emits an event. A subscriber is foreign code, so no lock is held.
pub(super) fn emit(address: &str, event: &Event, LogDecision { own_level, attempts }: LogDecision) {
    match event {
        Event::Connected { server } => {
            let server = server.as_ref().map(tracing::field::debug);
            if own_level {
                info!(address, server, "connected");
            } else {
                debug!(address, server, "connected");
            }
        }
        Event::Disconnected { reason: Disconnect::Closed | Disconnect::Unused } => {
            debug!(address, "closed");
        }
        Event::Disconnected { reason } if own_level => {
            warn!(address, %reason, "disconnected, reconnecting");
        }
        Event::Disconnected { reason } => debug!(address, %reason, "disconnected"),
        Event::Reconnecting { after } => debug!(address, ?after, "reconnecting"),
        Event::CredentialsRejected { error } if own_level => {
            error!(address, %error, attempts, "credentials rejected");
        }
        Event::ConnectFailed { error } if own_level => {
            warn!(address, %error, attempts, "reconnecting")
        }
        Event::ConnectFailed { error } | Event::CredentialsRejected { error } => {
            debug!(address, %error, attempts, "connect failed");
        }
        Event::Topology { masters, replicas, slots_moved, unowned } => {
            info!(
                address,
                masters, replicas, slots_moved, unowned, "the map of the cluster changed"
            );
        }
        Event::MasterSwitched { to } => info!(address, %to, "the sentinels named another master"),
        Event::WritesHeld => info!(address, "writes are held: a failover has begun"),
        Event::WritesReleased { after } => info!(address, ?after, "writes are released"),
        Event::Missed { .. } | Event::Node { .. } => {}
    }
}
