//! Working: runs jobs, as the real worker does, and stops gracefully. What a job does is its nature.

use super::consumer::{Consumer, Hold};
use super::deciding::{Decision, decide};
use super::ledger::Nature;
use super::mutant::Mutant;
use super::reading::Taken;
use crate::queue::policy::leases::Decided;
use crate::queue::policy::retry_policy::{Next, Verdict};
use std::rc::Rc;
use std::time::Duration;

/// To whoever waits; what has been delivered too often goes to the dead letters.
pub(super) fn hand_out(consumer: &Rc<Consumer>, taken: Vec<Taken>) {
    for (given, attempt, since) in taken {
        let Some(job) = given.job else { continue };
        let key = (given.level, given.id);
        let Some(hold) = consumer.take(key, since, attempt, job) else { continue };
        consumer.tell(|| format!("took {hold:?}"));
        consumer.given_up.borrow_mut().remove(&key);
        consumer.sim.world().ledger.is_taken(key);
        super::laws::one_believes(consumer, key);
        if consumer.common.settings.retry.is_exhausted(attempt) {
            decide(consumer, hold, Decision::Bury);
        } else {
            consumer.buffer.borrow_mut().push_back(hold);
            consumer.sim.world().stir(consumer.actor);
        }
    }
}

/// Begins jobs, as many at a time as may run.
pub(super) async fn run(consumer: Rc<Consumer>) {
    let next = || {
        if consumer.closing.get() {
            return Some(None);
        }
        let free = consumer.running.borrow().len() < consumer.concurrency;
        if free { consumer.buffer.borrow_mut().pop_front().map(Some) } else { None }
    };
    while let Some(hold) = super::tasks::poll(next).await {
        let now = consumer.now();
        let held = consumer.held.borrow().is_valid(hold.key, hold.ticket, now);
        if hold.token.get() || !(held || consumer.is(Mutant::TakesTwice)) {
            consumer.held.borrow_mut().remove(hold.key, hold.ticket);
            consumer.give_up(hold.key);
            consumer.put_down();
            continue;
        }
        let running = (hold.key, hold.ticket, Rc::clone(&hold.token));
        super::laws::runs(&consumer, &hold);
        consumer.running.borrow_mut().push(running);
        consumer.sim.spawn(consumer.actor, job(Rc::clone(&consumer), hold));
    }
}

/// How a handler came to its end.
enum End {
    Done,
    Failed(Verdict),
    LeaseLost,
    Cancelled,
}

async fn job(consumer: Rc<Consumer>, hold: Hold) {
    if consumer.is(Mutant::AcksFirst) {
        let early = Hold { ticket: 0, ..hold.clone() };
        consumer.acks.borrow_mut().push(early);
    }
    let end = handle(&consumer, &hold).await;
    let now = consumer.now();
    consumer
        .running
        .borrow_mut()
        .retain(|(key, ticket, _)| (*key, *ticket) != (hold.key, hold.ticket));
    let verdict = match end {
        End::Done => return ack(&consumer, hold, now),
        End::LeaseLost => return consumer.put_down(),
        End::Cancelled => return decide(&consumer, hold, Decision::Release),
        End::Failed(verdict) => verdict,
    };
    let early = u32::from(consumer.is(Mutant::BuriesEarly));
    let random = consumer.random();
    match consumer.common.settings.retry.after(verdict, hold.attempt + early, random) {
        Next::Discard => ack(&consumer, hold, now),
        Next::Retry(wait) => decide(&consumer, hold, Decision::Retry(wait)),
        Next::Dead => decide(&consumer, hold, Decision::Bury),
    }
}

fn ack(consumer: &Consumer, hold: Hold, now: std::time::Instant) {
    consumer.held.borrow_mut().decide(hold.key, hold.ticket, Decided::Done, now);
    consumer.acks.borrow_mut().push(hold);
    consumer.put_down();
}

/// Runs the handler, until it is done or may not go on.
async fn handle(consumer: &Consumer, hold: &Hold) -> End {
    let (nature, time, run) = consumer.sim.world().ledger.begin(hold.job);
    let kills = matches!(nature, Nature::Kills(runs) if run <= runs);
    let time = if kills { time.min(consumer.lease() / 2) } else { time };
    let done = consumer.now() + time;
    let stops = || hold.token.get() || consumer.cancelled.get();
    consumer.sim.wait(consumer.actor, Some(done), stops).await;
    if consumer.now() >= done {
        if kills {
            consumer.tell(|| format!("killed by {hold:?}"));
            die(consumer);
            std::future::pending::<()>().await;
        }
        let mut world = consumer.sim.world();
        let verdict = match nature {
            Nature::Fails(runs) if run <= runs => Verdict::Retry,
            Nature::Waits(runs, wait) if run <= runs => Verdict::RetryAfter(wait),
            Nature::Dies => Verdict::Dead,
            Nature::Discards => Verdict::Discard,
            _ => {
                world.ledger.succeeded(hold.job);
                return End::Done;
            }
        };
        world.ledger.says(hold.job, verdict);
        return End::Failed(verdict);
    }
    if hold.token.get() { End::LeaseLost } else { End::Cancelled }
}

/// Stops gracefully: gives back what was not begun, lets what runs come to its end for a while, then cancels it.
pub(super) async fn close(consumer: Rc<Consumer>) {
    for hold in consumer.buffer.take() {
        decide(&consumer, hold, Decision::Release);
    }
    let idle = || consumer.running.borrow().is_empty();
    let until = Some(consumer.now() + consumer.common.grace);
    consumer.sim.wait(consumer.actor, until, idle).await;
    consumer.cancelled.set(true);
    consumer.sim.world().stir(consumer.actor);
    consumer.sim.wait(consumer.actor, None, || consumer.undecided.get() == 0).await;
    let until = Some(consumer.now() + Duration::from_secs(5));
    let settled = || consumer.held.borrow().is_empty();
    consumer.sim.wait(consumer.actor, until, settled).await;
    consumer.ended.set(true);
    let mut world = consumer.sim.world();
    world.tell(|| format!("  {} has stopped", consumer.actor));
    world.end(consumer.actor);
}

/// The process of the consumer is gone.
fn die(consumer: &Consumer) {
    let mut world = consumer.sim.world();
    world.crashes += 1;
    world.end(consumer.actor);
}
