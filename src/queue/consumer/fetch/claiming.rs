//! The steps that claim entries: of lost replies, and of other consumers. A task.

use super::Fetch;
use crate::command::{PendingEntry, XAutoClaim, XPendingRange};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::consumer::report::JobOutcome;
use crate::queue::error::QueueError;
use crate::queue::operation::claim::{self, Claimed};
use crate::queue::operation::nack::{self, GiveBack};
use crate::queue::operation::{clock, oversized};
use crate::queue::policy::leases::Key;
use crate::queue::policy::mark::split_count;
use crate::queue::policy::plan::LIST;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

impl Fetch {
    /// Claims entries that are pending for us and not held.
    pub(super) async fn recover(&mut self, level: usize, room: usize) -> Result<(), QueueError> {
        let state = Arc::clone(&self.state);
        let Some(shared) = state.shared(level) else { return Ok(()) };
        let me = state.name();
        let (asked, lease) = (clock::now(), shared.settings.lease);
        let (mut after, mut lost) = (Bound::Unbounded, Vec::new());
        // An entry held before the request may have been given back or acknowledged by the time of
        // the reply, or that decision may still be in flight. Claiming it could take it from
        // another consumer.
        let before: BTreeSet<Key> = state.leases().keys().collect();
        loop {
            let range = (after, Bound::Unbounded);
            let (stream, group) = (&shared.settings.stream, &shared.settings.group);
            let page = XPendingRange::new(stream, group, range, LIST).consumer(&*me);
            let page = shared.client.send(page).await?;
            let held = state.leases();
            let had = |key| {
                let run = state.was_run(key) || state.is_done(key);
                run || before.contains(&key) || held.contains(key)
            };
            // An old entry may be claimed by another consumer at any moment.
            let young = |entry: &PendingEntry| entry.idle.is_some_and(|idle| idle < lease / 2);
            let is_lost = |entry: &&PendingEntry| young(entry) && !had((level, entry.id));
            lost.extend(page.iter().filter(is_lost).cloned());
            drop(held);
            match page.last() {
                Some(last) if page.len() as u64 >= LIST => after = Bound::Excluded(last.id),
                _ => break,
            }
        }
        if state.closing.is_cancelled() {
            return Ok(());
        }
        let rest = lost.split_off(lost.len().min(room));
        let claimed = self.claim_lost(level, asked, lost).await?;
        let Some(claimed) = claimed else {
            self.plan.recovered(level, false);
            return Ok(());
        };
        self.deliver(level, claimed);
        for PendingEntry { id, deliveries, .. } in rest {
            // There is no room for it: another consumer may have some.
            if clock::now().saturating_duration_since(asked) > lease / 4 {
                break;
            }
            let attempt = u32::try_from(deliveries).unwrap_or(u32::MAX);
            nack::send(shared, id, attempt, GiveBack::Release, asked + lease / 4).await?;
        }
        self.plan.recovered(level, true);
        Ok(())
    }

    /// Claims entries that were pending for us when `asked`. `None` if that was too long ago.
    async fn claim_lost(
        &mut self,
        level: usize,
        asked: Instant,
        lost: Vec<PendingEntry>,
    ) -> Result<Option<Vec<Claimed>>, QueueError> {
        let state = Arc::clone(&self.state);
        let Some(shared) = state.shared(level) else { return Ok(None) };
        let me = state.name();
        let is_held = |id| state.leases().contains((level, id));
        let mut missing = Vec::new();
        let only = match &*lost {
            [one] => Some((one.id, one.deliveries)),
            _ => None,
        };
        let reader = &mut self.reader;
        let again = lost.clone();
        let recovered =
            claim::recover(shared, reader, &me, asked, lost, is_held, &mut missing).await;
        let recovered = match (recovered, only) {
            (Err(error), Some((id, deliveries))) if claim::reply_limit(&error).is_some() => {
                // Alone it may have the size that the client's own limit permits.
                let mut reader = shared.client.reader().await?;
                let recovered = claim::recover(
                    shared,
                    &mut reader,
                    &me,
                    clock::now(),
                    again,
                    is_held,
                    &mut missing,
                )
                .await;
                if let Some(limit) = recovered.as_ref().err().and_then(claim::reply_limit) {
                    let count = u32::try_from(deliveries).unwrap_or(u32::MAX);
                    let attempts = split_count(count).0.saturating_sub(1);
                    oversized::dead_letter(shared, id, attempts, limit).await?;
                    state.outcomes.add(level, JobOutcome::DeadLettered, 1);
                    return Ok(Some(Vec::new()));
                }
                recovered
            }
            (recovered, _) => recovered,
        };
        state.count_missing(level, &missing);
        let (claimed, in_time) = recovered?;
        if !in_time {
            self.deliver(level, claimed);
            return Ok(None);
        }
        Ok(Some(claimed))
    }

    pub(super) async fn sweep(
        &mut self,
        level: usize,
        cursor: EntryId,
        count: usize,
    ) -> Result<(), QueueError> {
        let state = Arc::clone(&self.state);
        let Some(shared) = state.shared(level) else { return Ok(()) };
        let (me, since) = (state.name(), clock::now());
        let settings = &shared.settings;
        // The server rejects a COUNT of 0, and looks at ten times as many entries.
        let most = count.max(1) as u64;
        let waiting = claim::in_wheel(shared, cursor, most.saturating_mul(10)).await?;
        // Nothing is pending from there on.
        let Some(waiting) = waiting else {
            self.plan.sweep_done(level, None, false);
            return Ok(());
        };
        if state.closing.is_cancelled() {
            return Ok(());
        }
        let claim =
            XAutoClaim::new(&settings.stream, &settings.group, &*me, settings.lease, cursor);
        let swept = self.reader.send(claim.count(most)).await?;
        self.plan.sweep_done(level, swept.cursor, swept.entries.len() >= count);
        let deleted = swept.deleted.into_iter().flatten().filter(|id| !waiting.contains(id));
        state.count_missing(level, &deleted.collect::<Vec<_>>());
        let claimed = claim::with_attempts(shared, &me, since, &swept.entries).await;
        let claimed = self.or_recover(claimed)?;
        self.deliver(level, claimed);
        if swept.entries.nulls() > 0 {
            let is_held = |id| state.leases().contains((level, id));
            state.count_missing(level, &claim::ack_missing(shared, &me, is_held).await?);
        }
        Ok(())
    }

    /// Schedules a recovery after an error: the entries were claimed, even if their delivery counts
    /// could not be read.
    fn or_recover(&mut self, claimed: Result<Vec<Claimed>, Error>) -> Result<Vec<Claimed>, Error> {
        claimed.inspect_err(|_| self.plan.reply_lost())
    }
}
