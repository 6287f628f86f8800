//! What must hold whenever a consumer does something.

use super::consumer::{Consumer, Hold};
use super::server::ms;
use super::world::S;
use crate::queue::policy::delay;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::Step;
use std::time::Duration;

/// Who lets an entry lie has so long to take it up, beside the time between two looks.
const PROMPT: u64 = 10 * S;

/// Nobody recovers so often in a row.
const CIRCLES: u32 = 20;

/// Nobody else believes in what this consumer has just taken, or has just been told is its own.
pub(super) fn one_believes(consumer: &Consumer, key: Key) {
    if !consumer.believes(key) {
        return;
    }
    for other in consumer.common.everyone() {
        let alive = consumer.sim.world().is_alive(other.actor);
        if other.actor == consumer.actor || !alive || !other.believes(key) {
            continue;
        }
        let mut world = consumer.sim.world();
        let (now, until) = (world.now, world.excuse());
        if world.ledger.is_excused(key, now) {
            // As long as both go on, whatever comes of it has the same cause.
            world.ledger.excuse(key, until);
        } else {
            world.tell(|| format!("{key:?}: {} and {} believe in it", consumer.actor, other.actor));
            world
                .ledger
                .wrong(format!("two believe in {key:?}: {} and {}", consumer.actor, other.actor));
        }
    }
}

/// A job is run as often as it may be, and not twice at a time by the same consumer.
pub(super) fn runs(consumer: &Consumer, hold: &Hold) {
    let running = consumer.running.borrow();
    let twice = running.iter().any(|(key, _, lost)| *key == hold.key && !lost.get());
    let mut world = consumer.sim.world();
    if twice {
        world.ledger.wrong(format!("{} runs {:?} twice at a time", consumer.actor, hold.key));
    }
    if consumer.common.settings.retry.is_exhausted(hold.attempt) {
        world.ledger.wrong(format!("an attempt too many: {hold:?}"));
    }
}

/// Who reads on has everything in its hands that was given to it; and nobody with room lets anything lie.
pub(super) fn steps(consumer: &Consumer, step: &Step) {
    let mut world = consumer.sim.world();
    let recovers = matches!(step, Step::Recover(_));
    consumer.recovers.set(if recovers { consumer.recovers.get() + 1 } else { 0 });
    if consumer.recovers.get() > CIRCLES {
        world.ledger.wrong(format!("{} recovers for ever", consumer.actor));
    }
    if !matches!(step, Step::Read(_)) {
        return;
    }
    let (me, now, lease) = (consumer.name(), world.server_time(), consumer.lease());
    let held = consumer.held.borrow();
    let mut wrong = Vec::new();
    for (key, pending) in world.server.all_pending() {
        let fresh = pending.idle(now) < ms(lease / 2);
        let known = held.contains(key)
            || consumer.given_up.borrow().contains_key(&key)
            || world.ledger.is_late(key);
        if pending.owner == me && fresh && !known {
            wrong.push(format!("{} reads on and has forgotten {key:?}", consumer.actor));
        }
        let Some(calm) = world.ledger.calm else { continue };
        let least = delay::bucket_delay(&pending.owner).unwrap_or(lease);
        let looks = delay::check_interval(&pending.owner).max(Duration::from_secs(1)) * 2;
        let due = world.when(pending.at.max(0).saturating_add(ms(least)));
        let since = due.max(calm).max(consumer.free_since.get());
        let there = world.server.job(key.0, key.1).is_some();
        if there && world.now > since + PROMPT + super::world::us(looks) {
            wrong.push(format!("{} lets {key:?} lie: {pending:?}", consumer.actor));
        }
    }
    for what in wrong {
        world.tell(|| what.clone());
        world.ledger.wrong(what);
    }
}
