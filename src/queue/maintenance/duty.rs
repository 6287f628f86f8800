//! Duty: which consumer of a group does its maintenance. An operation.
//!
//! The one that has the turn does it. The others look less often whether it is still there, and
//! learn from its record how many they are. Where the records cannot be written, each consumer does
//! it, the less often the more there are.

use crate::error::{Error, Outcome};
use crate::queue::operation::{clock, turn};
use crate::queue::policy::turn::{Note, Record, Turn};
use crate::queue::shared::Shared;
use crate::random;
use std::time::Duration;

/// The age, by the server's clock, from which on the last record is abandoned also for a consumer
/// that has not seen it before. Consumers that live for seconds only see each record once.
const OLD: Duration = Duration::from_secs(40);

/// Whether this consumer does the maintenance of a group.
#[derive(Debug)]
pub(super) struct Duty {
    turn: Turn,
    knows_time: bool,
}

impl Duty {
    pub(super) fn new() -> Self {
        Self { turn: Turn::of_maintenance(), knows_time: false }
    }

    /// Whether the turn is ours, as far as we know.
    pub(super) fn is_ours(&self) -> bool {
        self.turn.is_ours()
    }

    /// Keeps the turn, or takes it if no other consumer has it. Returns whether this consumer is to
    /// do the maintenance now.
    pub(super) async fn begins(&mut self, shared: &Shared, me: &[u8]) -> Result<bool, Error> {
        let has_turn = self.has_turn(shared, me).await;
        shared.leads.send_replace(self.turn.valid_until().map(Into::into));
        match has_turn {
            Ok(is_ours) => {
                shared.crowd.set_maintained(!is_ours);
                Ok(is_ours)
            }
            // No permission, no memory, a key of another type: maintenance goes on.
            Err(error) if error.outcome() == Outcome::NotApplied => {
                shared.crowd.set_maintained(false);
                let consumers = usize::try_from(shared.crowd.consumers()).unwrap_or(usize::MAX);
                Ok(random::below(consumers.max(1)) == 0)
            }
            Err(error) => Err(error),
        }
    }

    async fn has_turn(&mut self, shared: &Shared, me: &[u8]) -> Result<bool, Error> {
        let key = &shared.settings.turn_key();
        let note = Note {
            consumers: shared.crowd.consumers(),
            delays: shared.wheel.is_used(),
            recurring: shared.recurring.is_used(),
        };
        if !self.turn.is_ours() {
            let last = turn::look(shared, key).await?;
            if let Some((_, note)) = last {
                shared.crowd.set_consumers(note.consumers);
                if note.delays {
                    shared.wheel.used();
                }
                if note.recurring {
                    shared.recurring.used();
                }
                if !self.knows_time {
                    clock::ask(shared).await?;
                    self.knows_time = true;
                }
            }
            let old = clock::id_of_age_at_server(shared, OLD);
            let last = last.map(|(Record { id, is_free }, _)| {
                let is_old = old.is_some_and(|old| id < old);
                Record { id, is_free: is_free || is_old }
            });
            let Some(id) = self.turn.saw(last, clock::now()) else { return Ok(false) };
            if !turn::take(shared, key, me, id, note).await? {
                return Ok(false);
            }
            // The id of the first record is not a time: another one follows at once.
        }
        let sent = clock::now();
        let Some((_, record)) = turn::renew(shared, key, me, note).await? else {
            self.turn.lost();
            return Ok(false);
        };
        clock::id_assigned(shared, record);
        self.turn.renewed(sent);
        Ok(true)
    }

    /// Leaves the turn to another consumer.
    pub(super) async fn leave(&self, shared: &Shared) {
        shared.leads.send_replace(None);
        if self.turn.is_valid(clock::now()) {
            // If this fails, another consumer takes the turn when it is abandoned.
            let _ = turn::leave(shared, &shared.settings.turn_key()).await;
        }
    }
}
