//! Deciding: does what was decided about jobs, as the real clerk does.

use super::consumer::{Consumer, Hold, one};
use super::mutant::Mutant;
use super::wire::{Claim, Command, Reply};
use crate::id::EntryId;
use crate::queue::policy::delay;
use crate::queue::policy::leases::Decided;
use crate::queue::policy::plan::{Failure, PAGE, with_jitter};
use std::rc::Rc;
use std::time::Duration;

/// What is to become of a job that is not done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decision {
    Retry(Duration),
    Release,
    Bury,
}

/// The pause before something is tried again: at least, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Acknowledges, many jobs at once.
pub(super) async fn run(consumer: Rc<Consumer>) {
    while !consumer.ended.get() {
        let ordered = || consumer.ended.get() || !consumer.acks.borrow().is_empty();
        consumer.sim.wait(consumer.actor, None, ordered).await;
        let acks = consumer.acks.take();
        for level in 0..consumer.common.levels {
            let here: Vec<&Hold> = acks.iter().filter(|ack| ack.key.0 == level).collect();
            for some in here.chunks(PAGE) {
                let ids: Vec<EntryId> = some.iter().map(|ack| ack.key.1).collect();
                let done = until_done(&consumer, level, ids).await;
                for ack in some {
                    consumer.held.borrow_mut().remove(ack.key, ack.ticket);
                    // It may have been given to us again, and was not taken, for it is done.
                    consumer.give_up(ack.key);
                    if !done {
                        consumer.was_run(ack.key);
                    }
                }
            }
        }
    }
}

/// Acknowledges until it is answered; for as long as a lease, and no longer.
async fn until_done(consumer: &Consumer, level: usize, ids: Vec<EntryId>) -> bool {
    let until = consumer.now() + consumer.lease();
    let mut pauses = 0;
    loop {
        let commands = if consumer.capabilities().ack_del {
            vec![Command::AckDel { level, ids: ids.clone() }]
        } else {
            let ids = ids.clone();
            vec![Command::Delete { level, ids: ids.clone() }, Command::Ack { level, ids }]
        };
        if consumer.sim.call(consumer.commands, commands).await.is_ok() {
            return true;
        }
        if consumer.now() >= until || consumer.ended.get() {
            return false;
        }
        pause(consumer, &mut pauses).await;
    }
}

async fn pause(consumer: &Consumer, pauses: &mut u32) {
    let (least, most) = PAUSE;
    let pause = (least * 2_u32.saturating_pow((*pauses).min(16))).min(most);
    *pauses += 1;
    let random = consumer.random();
    consumer.sim.sleep(consumer.actor, with_jitter(pause, random)).await;
}

/// A decision about a job; it is carried out by itself.
pub(super) fn decide(consumer: &Rc<Consumer>, hold: Hold, decision: Decision) {
    consumer.tell(|| format!("{decision:?} for {hold:?}"));
    if !matches!(decision, Decision::Bury) {
        let now = consumer.now();
        consumer.held.borrow_mut().decide(hold.key, hold.ticket, Decided::GivenBack, now);
    }
    consumer.put_down();
    let settling = Rc::clone(consumer);
    consumer.sim.spawn(consumer.actor, async move {
        let consumer = settling;
        let done = match decision {
            Decision::Bury => bury(&consumer, &hold).await,
            decision => give_back(&consumer, &hold, decision).await,
        };
        consumer.held.borrow_mut().remove(hold.key, hold.ticket);
        if !done && consumer.is(Mutant::ForgetsRuns) {
            consumer.give_up(hold.key);
        } else if !done {
            consumer.was_run(hold.key);
        }
        consumer.sim.world().stir(consumer.actor);
    });
}

fn is_ours(consumer: &Consumer, hold: &Hold) -> bool {
    let now = consumer.now();
    consumer.held.borrow().is_valid(hold.key, hold.ticket, now) || consumer.is(Mutant::NacksLost)
}

/// Whether it was done; tries again as long as the lease is believed in.
async fn give_back(consumer: &Consumer, hold: &Hold, decision: Decision) -> bool {
    let mut pauses = 0;
    while is_ours(consumer, hold) {
        // Now and then it asks first how much is pending.
        if consumer.capabilities().claim && consumer.random() < 0.5 {
            let asked = consumer.ask(Command::Owners { level: hold.key.0 }).await;
            if asked.is_err() {
                pause(consumer, &mut pauses).await;
                continue;
            }
            if !is_ours(consumer, hold) {
                return false;
            }
        }
        let command = given_back(consumer, hold, decision);
        let twice = consumer.is(Mutant::NacksTwice) && !matches!(decision, Decision::Release);
        match one(consumer.sim.call(consumer.commands, vec![command]).await) {
            Ok(_) => return true,
            Err(Failure::NoGroup) => return false,
            // It may have been done, and another may be at it: nobody asks whose it is.
            Err(Failure::Unknown) if !twice => return false,
            Err(_) => pause(consumer, &mut pauses).await,
        }
    }
    false
}

fn given_back(consumer: &Consumer, hold: &Hold, decision: Decision) -> Command {
    let (level, id) = hold.key;
    let (settings, lease) = (&consumer.common.settings, consumer.lease());
    let silent = match decision {
        Decision::Retry(wait) if wait.is_zero() => Some(false),
        Decision::Release => Some(true),
        _ => None,
    };
    let nacks = consumer.capabilities().nack && !settings.uses_buckets();
    if let Some(silent) = silent.filter(|_| nacks) {
        return Command::Nack { level, id, silent };
    }
    let claim = |owner: &'static [u8], idle: Duration, count: Option<u32>| {
        let claim = Claim::new(level, &owner.into(), Duration::ZERO, vec![id]).just_id();
        Command::Claim(Claim { idle: Some(idle), count: count.map(Into::into), ..claim })
    };
    match decision {
        Decision::Retry(wait) => {
            let (owner, idle) =
                delay::placement(wait.min(settings.longest_possible_delay()), lease);
            claim(owner, idle, delay::bucket_delay(owner).map(|_| hold.attempt))
        }
        Decision::Release => claim(delay::RETRY, lease, Some(hold.attempt.saturating_sub(1))),
        _ => claim(delay::RETRY, lease, None),
    }
}

/// Moves a job to the dead letters; whether it was done. If that cannot be for as long as a lease, it is given back.
async fn bury(consumer: &Consumer, hold: &Hold) -> bool {
    let until = consumer.now() + consumer.lease();
    let by = consumer.sim.world().rng.u64(..);
    let (mut pauses, mut unknown) = (0, false);
    while is_ours(consumer, hold) {
        match moved(consumer, hold, by, &mut unknown).await {
            Ok(()) => return true,
            Err(_) if consumer.closing.get() || consumer.now() >= until => {
                let now = consumer.now();
                consumer.held.borrow_mut().decide(hold.key, hold.ticket, Decided::GivenBack, now);
                let later = Decision::Retry(consumer.lease() / 2);
                return give_back(consumer, hold, later).await;
            }
            Err(_) => pause(consumer, &mut pauses).await,
        }
    }
    false
}

async fn moved(
    consumer: &Consumer,
    hold: &Hold,
    by: u64,
    unknown: &mut bool,
) -> Result<(), Failure> {
    let ((level, id), job) = (hold.key, hold.job);
    let answer = consumer.ask(Command::Bury { level, id, job, by }).await;
    let Reply::Moved { copy, acked, deleted } = answer.inspect_err(|trouble| {
        *unknown |= *trouble == Failure::Unknown;
    })?
    else {
        return Ok(());
    };
    // The group may have forgotten what was pending, and the stream still have had the job.
    if acked || deleted && !consumer.is(Mutant::SparesAll) {
        return Ok(());
    }
    // Somebody had acknowledged the job before: the copy is one too many, unless it is all that there is.
    if consumer.capabilities().idmp {
        let made = consumer.ask(Command::MadeBy { copy }).await?;
        if *unknown || !matches!(made, Reply::MadeBy(Some(other)) if other == by) {
            return Ok(());
        }
    }
    consumer.ask(Command::Spare { copy }).await.map(drop)
}
