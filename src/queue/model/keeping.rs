//! Keeping: heartbeats in time, and the word to stop when they do not get through.

use super::consumer::{Consumer, keys};
use super::mutant::Mutant;
use super::wire::{Claim, Command, Reply};
use crate::id::EntryId;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::PAGE;
use std::rc::Rc;
use std::time::Duration;

pub(super) async fn run(consumer: Rc<Consumer>) {
    let lease = consumer.lease();
    let tick = lease / 24;
    while !consumer.ended.get() {
        let next = consumer.held.borrow().next_check();
        let until = next.map(|at| at.max(consumer.now() + tick));
        let news = || {
            consumer.ended.get() || next.is_none() && consumer.held.borrow().next_check().is_some()
        };
        consumer.sim.wait(consumer.actor, until, news).await;
        let now = consumer.now();
        let mut beats = consumer.held.borrow().due(now);
        if consumer.is(Mutant::BeatsLate) {
            let running = consumer.running.borrow();
            beats.certain.extend(running.iter().map(|(key, ..)| *key));
        } else {
            consumer.lapse(now);
        }
        consumer.forget_lapsed(now.checked_sub(lease * 4).unwrap_or(now));
        // The answer must come while there is time left to ask again.
        let limit = lease / 6;
        beat(&consumer, &beats.certain, limit).await;
        if !beats.uncertain.is_empty() {
            let ours = still_ours(&consumer, &beats.uncertain, limit / 2).await;
            beat(&consumer, &ours, limit / 2).await;
        }
        if !consumer.is(Mutant::BeatsLate) {
            consumer.lapse(consumer.now());
        }
    }
}

/// Begins these leases anew; what is not pending any more is lost.
async fn beat(consumer: &Consumer, beats: &[Key], limit: Duration) {
    let me = consumer.name();
    for part in beats.chunk_by(|a, b| a.0 == b.0) {
        let level = part[0].0;
        let sent = consumer.now();
        let unchecked = consumer.is(Mutant::BeatsUnchecked) || consumer.is(Mutant::BeatsLate);
        let part =
            if unchecked { part.to_vec() } else { consumer.held.borrow().still_due(part, sent) };
        let claim = |part: &[Key]| {
            let ids: Vec<EntryId> = part.iter().map(|key| key.1).collect();
            Command::Claim(Claim::new(level, &me, Duration::ZERO, ids).just_id())
        };
        let claims: Vec<Command> = part.chunks(PAGE).map(claim).collect();
        if claims.is_empty() {
            continue;
        }
        let answers = consumer.sim.call_for(consumer.actor, consumer.commands, claims, limit).await;
        let Some(Ok(answers)) = answers else { continue };
        for (part, answer) in part.chunks(PAGE).zip(answers) {
            let Reply::Ids(still) = answer else { continue };
            let gone = consumer.held.borrow_mut().renewed(sent, part, &keys(level, &still));
            consumer.lose(gone);
            part.iter().for_each(|key| super::laws::one_believes(consumer, *key));
        }
    }
}

/// Which of these nobody has taken over. Those that somebody has are lost.
async fn still_ours(consumer: &Consumer, beats: &[Key], limit: Duration) -> Vec<Key> {
    let asked = consumer.now();
    let me = consumer.name();
    let mut ours = Vec::new();
    for part in beats.chunk_by(|a, b| a.0 == b.0) {
        let ask = part.iter().map(|key| Command::Whose { level: key.0, id: key.1 }).collect();
        let answers = consumer.sim.call_for(consumer.actor, consumer.commands, ask, limit).await;
        let Some(Ok(answers)) = answers else { continue };
        for (key, answer) in part.iter().zip(answers) {
            let Reply::Pending(found) = answer else { continue };
            if found.iter().any(|pending| pending.consumer == me) {
                ours.push(*key);
            } else {
                let lost = consumer.held.borrow_mut().renewed(asked, &[*key], &[]);
                consumer.lose(lost);
            }
        }
    }
    ours
}
