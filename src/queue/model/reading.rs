//! Reading: carries out the plan, as the real task does, command by command.

use super::consumer::{Consumer, one};
use super::mutant::Mutant;
use super::wire::{Claim, Command, Given, Reply};
use crate::command::PendingEntry;
use crate::id::EntryId;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::{Failure, LIST, PAGE, Plan, Read, Step};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// An entry that is ours now, the number of its attempt, and the time before what was sent that made it ours.
pub(super) type Taken = (Given, u32, Instant);

pub(super) async fn run(consumer: Rc<Consumer>) {
    let plan_settings =
        consumer.common.settings.plan_settings(consumer.common.levels, consumer.common.ageing);
    let connection = consumer.sim.world().epoch(consumer.reads);
    let mut reading = Reading {
        plan: Plan::new(plan_settings),
        connection,
        answered: consumer.now(),
        consumer: Rc::clone(&consumer),
    };
    while !consumer.closing.get() {
        match reading.step().await {
            Ok(()) => reading.answered = consumer.now(),
            Err(trouble) => {
                let (now, random) = (consumer.now(), consumer.random());
                consumer.tell(|| format!("{trouble:?}"));
                reading.plan.failed(trouble, now, random);
            }
        }
    }
    super::working::close(consumer).await;
}

struct Reading {
    consumer: Rc<Consumer>,
    plan: Plan,
    connection: usize,
    answered: Instant,
}

impl Reading {
    async fn step(&mut self) -> Result<(), Failure> {
        let consumer = Rc::clone(&self.consumer);
        self.look_at_connection().await?;
        let (now, room, capabilities) = (consumer.now(), consumer.room(), consumer.capabilities());
        let random = consumer.random();
        let step = self.plan.next(now, room, capabilities, random);
        super::laws::steps(&consumer, &step);
        match step {
            Step::Wait(time) => {
                let until = Some(now + time);
                consumer.sim.wait(consumer.actor, until, || consumer.closing.get()).await;
            }
            Step::Full => {
                let news = || consumer.room() > 0 || consumer.closing.get();
                consumer.sim.wait(consumer.actor, None, news).await;
                consumer.free_since.set(consumer.sim.world().now);
            }
            Step::Check => self.plan.checked(),
            Step::CreateGroup => {
                for level in 0..consumer.common.levels {
                    consumer.ask(Command::Create { level }).await?;
                }
                self.plan.created();
            }
            Step::Recover(level) => self.recover(level, room).await?,
            Step::Sweep { level, cursor, count } => self.sweep(level, cursor, count).await?,
            Step::ListOwners(level) => {
                let reply = consumer.ask(Command::Owners { level }).await?;
                let Reply::Owners(owners) = reply else { return Ok(()) };
                let owners = owners.iter().map(|owner| owner.to_vec()).collect();
                self.plan.owners_listed(level, owners, consumer.now());
            }
            Step::ListPending { level, owner, after } => {
                self.look(level, owner.into(), after, room).await?;
            }
            Step::Read(read) => self.read(read).await?,
        }
        Ok(())
    }

    async fn look_at_connection(&mut self) -> Result<(), Failure> {
        let consumer = &self.consumer;
        let now = consumer.now();
        if now.saturating_duration_since(self.answered) > consumer.lease() * 10 {
            consumer.rename();
            self.answered = now;
        }
        let connection = consumer.sim.world().epoch(consumer.reads);
        if connection != self.connection {
            // XINFO STREAM.
            consumer.ask(Command::Exists { level: 0, id: EntryId::MIN }).await?;
            self.connection = connection;
            self.plan.reply_lost();
        }
        Ok(())
    }

    /// Takes what is pending for us and not in our hands.
    async fn recover(&mut self, level: usize, room: usize) -> Result<(), Failure> {
        let consumer = Rc::clone(&self.consumer);
        if consumer.is(Mutant::NoRecovery) {
            self.plan.recovered(level, true);
            return Ok(());
        }
        let (me, lease) = (consumer.name(), consumer.lease());
        let mut asked = consumer.now();
        let before: Vec<Key> = consumer.held.borrow().keys().collect();
        let mut lost = self.list(level, &me, None).await?;
        lost.retain(|entry| !consumer.held.borrow().contains((level, entry.id)));
        // What is old may be somebody else's in a moment. What was in our hands, now or when we asked, was given back or
        // acknowledged, or nobody knows: that may still be on its way, and would take from whoever has it.
        let old = |entry: &PendingEntry| entry.idle.is_none_or(|idle| idle >= lease / 2);
        let had = |entry: &PendingEntry| {
            let key = (level, entry.id);
            let decided = before.contains(&key) && !consumer.is(Mutant::RecoversDecided);
            decided || consumer.has_lapsed(key)
        };
        for entry in lost.iter().filter(|entry| old(entry) || had(entry)) {
            consumer.give_up((level, entry.id));
        }
        if consumer.is(Mutant::RecoversLate) {
            asked = consumer.now();
        }
        if !consumer.is(Mutant::RecoversInCircles) {
            lost.retain(|entry| !old(entry) && !had(entry));
        }
        let mut all = lost.len() <= room;
        let mut counts: BTreeMap<u64, Vec<EntryId>> = BTreeMap::new();
        for entry in lost.iter().take(room).filter(|entry| !old(entry)) {
            counts.entry(entry.deliveries).or_default().push(entry.id);
        }
        let mut taken = Vec::new();
        for (count, ids) in counts {
            if consumer.now().saturating_duration_since(asked) > lease / 4 {
                all = false;
                break;
            }
            // What nobody has seen was not an attempt.
            let claim = Claim::new(level, &me, Duration::ZERO, ids);
            taken.extend(self.claim(Claim { count: Some(count), ..claim }).await?);
        }
        super::working::hand_out(&consumer, taken);
        self.plan.recovered(level, all);
        Ok(())
    }

    async fn list(
        &self,
        level: usize,
        owner: &Bytes,
        after: Option<EntryId>,
    ) -> Result<Vec<PendingEntry>, Failure> {
        let count = usize::try_from(LIST).unwrap_or(usize::MAX);
        let command = Command::Pending { level, owner: owner.clone(), after, count };
        match self.consumer.ask(command).await? {
            Reply::Pending(page) => Ok(page),
            _ => Ok(Vec::new()),
        }
    }

    async fn sweep(&mut self, level: usize, cursor: EntryId, count: usize) -> Result<(), Failure> {
        let consumer = Rc::clone(&self.consumer);
        let (me, least, since) = (consumer.name(), consumer.lease(), consumer.now());
        let cursor = if consumer.is(Mutant::SweepsAnew) { EntryId::MIN } else { cursor };
        let reply = consumer.ask(Command::Sweep { level, me, least, cursor, count }).await?;
        let Reply::Swept(given, next) = reply else { return Ok(()) };
        self.plan.sweep_done(level, next, given.len() >= count);
        let taken = self.with_attempts(level, given, since).await?;
        super::working::hand_out(&consumer, taken);
        Ok(())
    }

    async fn look(
        &mut self,
        level: usize,
        owner: Bytes,
        after: Option<EntryId>,
        room: usize,
    ) -> Result<(), Failure> {
        let consumer = Rc::clone(&self.consumer);
        let page = self.list(level, &owner, after).await?;
        let held = |level, id| consumer.held.borrow().contains((level, id));
        let Some((_, least, ids)) = self.plan.pending_listed(&page, room, held) else {
            return Ok(());
        };
        if ids.is_empty() {
            return Ok(());
        }
        let taken = self.claim(Claim::new(level, &consumer.name(), least, ids)).await?;
        super::working::hand_out(&consumer, taken);
        Ok(())
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Taken>, Failure> {
        let (level, since) = (claim.level, self.consumer.now());
        match self.consumer.ask(Command::Claim(claim)).await? {
            Reply::Entries(given) => self.with_attempts(level, given, since).await,
            _ => Ok(Vec::new()),
        }
    }

    /// With the number of each entry's attempt, which is asked for. What is no longer ours is left out.
    async fn with_attempts(
        &self,
        level: usize,
        given: Vec<Given>,
        since: Instant,
    ) -> Result<Vec<Taken>, Failure> {
        let forgets = self.consumer.is(Mutant::ForgetsClaims);
        let taken = self.attempts(level, given, since).await;
        // Whatever the trouble is, they are ours now, and not in our hands.
        taken.map_err(|trouble| if forgets { trouble } else { Failure::Unknown })
    }

    async fn attempts(
        &self,
        level: usize,
        mut given: Vec<Given>,
        since: Instant,
    ) -> Result<Vec<Taken>, Failure> {
        let consumer = &self.consumer;
        let me = consumer.name();
        if given.iter().any(|given| given.job.is_none()) {
            self.clear_nulls(level, &me).await?;
        }
        given.retain(|given| given.job.is_some());
        if given.is_empty() {
            return Ok(Vec::new());
        }
        let ask = |given: &Given| Command::Whose { level, id: given.id };
        let asked = given.iter().map(ask).collect();
        let answers = consumer.sim.call(consumer.commands, asked).await?;
        let mut taken: Vec<Taken> = Vec::new();
        for (given, answer) in given.into_iter().zip(answers) {
            let Reply::Pending(found) = answer else { return Err(Failure::NoGroup) };
            if let Some(pending) = found.first().filter(|pending| pending.consumer == me) {
                let old = consumer.is(Mutant::OldCount);
                let attempt = pending.deliveries.saturating_sub(u64::from(old)).max(1);
                taken.push((given, u32::try_from(attempt).unwrap_or(u32::MAX), since));
            }
        }
        Ok(taken)
    }

    /// Redis 6.2 claims entries that were deleted, and does not say which.
    async fn clear_nulls(&self, level: usize, me: &Bytes) -> Result<(), Failure> {
        let consumer = Rc::clone(&self.consumer);
        let mine = self.list(level, me, None).await?;
        let unknown: Vec<EntryId> = mine
            .iter()
            .map(|entry| entry.id)
            .filter(|id| !consumer.held.borrow().contains((level, *id)))
            .collect();
        let ask = |id: &EntryId| Command::Exists { level, id: *id };
        let found = consumer.sim.call(consumer.commands, unknown.iter().map(ask).collect()).await?;
        let gone = unknown.into_iter().zip(found);
        let gone = gone.filter(|(_, found)| matches!(found, Reply::Exists(false)));
        let ids: Vec<EntryId> = gone.map(|(id, _)| id).take(PAGE).collect();
        if !ids.is_empty() {
            consumer.ask(Command::Ack { level, ids }).await?;
        }
        Ok(())
    }

    async fn read(&mut self, read: Read) -> Result<(), Failure> {
        let consumer = Rc::clone(&self.consumer);
        let (me, since, capabilities) = (consumer.name(), consumer.now(), consumer.capabilities());
        let answer = consumer.sim.call(consumer.reads, vec![Command::Read { me, read }]).await;
        let Reply::Entries(given) = one(answer)? else { return Ok(()) };
        let brought = given.len();
        let attempt = |given: &Given| u32::try_from(given.before + 1).unwrap_or(u32::MAX);
        let taken = given.into_iter().map(|given| (given, attempt(&given), since)).collect();
        super::working::hand_out(&consumer, taken);
        self.plan.read_done(brought, capabilities);
        Ok(())
    }
}
