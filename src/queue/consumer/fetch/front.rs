//! Waits beside the stream while enough other consumers wait on it. A task.

use super::{Fetch, blocking};
use crate::command::{Trim, XAdd, XGroupCreate, XReadGroup};
use crate::error::Code;
use crate::id::{GroupFrom, StartAt};
use crate::queue::error::QueueError;
use crate::queue::operation::backoff::is_transient;
use crate::queue::operation::clock;
use crate::queue::policy::front::TERM;
use crate::queue::policy::plan::with_jitter;
use crate::random;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// The time for which the stream of places is not used when it could not be.
const UNUSABLE: Duration = Duration::from_secs(60);

/// The name under which all consumers read places. It is delivered to one of them at once, and is
/// pending for none.
const ANY: &str = "any";

impl Fetch {
    /// Whether this consumer may block on its stream. One with several streams always may.
    pub(super) fn may_block(&mut self) -> bool {
        let [shared] = &*self.state.levels else { return true };
        let now = clock::now();
        let has_aside = self.no_aside_until.is_none_or(|until| until <= now);
        let always = !has_aside || !shared.crowd.is_maintained();
        self.front.blocks(shared.crowd.consumers(), always, now, random::fraction())
    }

    /// Whether others wait for this consumer's place on the stream.
    pub(super) fn has_place(&self) -> bool {
        let [shared] = &*self.state.levels else { return false };
        self.front.has_place(shared.crowd.consumers())
    }

    /// Waits for a place on the stream, or for the end of a term.
    pub(super) async fn stand_aside(&mut self) -> Result<(), QueueError> {
        let state = Arc::clone(&self.state);
        let [shared] = &*state.levels else { return Ok(()) };
        let (key, settings) = (shared.settings.aside_key(), &shared.settings);
        // Consumers that are silent for long look abandoned.
        let term = with_jitter(TERM.min(settings.lease * 2), random::fraction());
        let read = XReadGroup::new(&settings.group, ANY).count(1).no_ack();
        let read = read.stream(&key, GroupFrom::New).block(term);
        let id = self.reader.connection_id();
        let reading = self.reader.read(read);
        let error = match blocking::until(&state, id, reading, pending()).await {
            Ok(places) => {
                if places.streams().next().is_some() {
                    self.front.received(clock::now());
                }
                return Ok(());
            }
            Err(error) => error,
        };
        if matches!(error.code(), Some(Code::NoGroup | Code::Unblocked)) {
            let create = XGroupCreate::new(&key, &settings.group, StartAt::START).mk_stream();
            // Without memory, for example.
            if state.client.send(create.if_missing()).await.is_err() {
                self.no_aside_until = Some(clock::now() + UNUSABLE);
            }
            return Ok(());
        }
        if is_transient(&error) {
            return Err(error.into());
        }
        self.no_aside_until = Some(clock::now() + UNUSABLE);
        Ok(())
    }

    /// Passes this consumer's place on to one that stands aside.
    pub(super) async fn pass_on(&mut self) {
        let [shared] = &*self.state.levels else { return };
        let key = shared.settings.aside_key();
        let places = Trim::max_len(u64::from(shared.settings.blocked_readers));
        let me = self.state.name();
        let add = XAdd::new(&key).trim(places).field("by", &*me);
        // A place that is lost is made up for by the draws.
        let _ = self.state.client.send(add).await;
        self.front.passed_on(clock::now());
    }
}
