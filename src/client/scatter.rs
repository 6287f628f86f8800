//! A batch to the nodes of a cluster: each gets its part, and all parts are sent at once.
//!
//! A part is one request with the commands of one node, in their order. A command that is refused
//! with a redirect, or for a moment, waits for its next attempt, and so do the commands behind it
//! that have the same slot and were not sent yet. The refusals of a slot are in order, too: a server
//! that refuses one command of a key refuses those behind it. So the commands of a key keep their
//! order.

use super::batch::{Batch, Measured, Named, frames};
use super::pieces::PIECE_BYTES;
use crate::cluster::Cluster;
use crate::command::Safety;
use crate::connection::{
    ASKING, Attempts, Call, Failed, Failure, Hop, Replies, Request, ServerLookup, Shared, Size,
    error,
};
use crate::error::{Outcome, ServerError, Unsent};
use crate::random;
use crate::resp::Frame;
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The number of parts in flight to one node.
const MOST_IN_FLIGHT: usize = 4;

#[derive(Debug)]
pub(super) struct Scatter<'a, B> {
    cluster: &'a Cluster,
    all: Arc<Measured<B>>,
    slots: Vec<Option<u16>>,
    named: Vec<Named>,
    time: Duration,
    deadline: Option<Option<Instant>>,
    /// The commands that are not sent, in order.
    left: Vec<usize>,
    /// The commands that were refused or lost, and how they continue.
    detours: HashMap<usize, Detour<'a>>,
    parts: Vec<PartInFlight<'a, B>>,
    results: Vec<Option<Reply>>,
    timer: Option<u64>,
}

/// The next attempt of a command.
#[derive(Debug, Default)]
struct Detour<'a> {
    hops: u8,
    attempts: Attempts,
    until: Option<Instant>,
    /// The connection that a server named, and whether ASKING is sent before the command.
    named: Option<(&'a Shared, bool)>,
}

#[derive(Debug)]
struct PartInFlight<'a, B> {
    shared: &'a Shared,
    call: Call<'a, Part<B>>,
}

/// The reply to one command, or the failure and the number of commands behind it in its request.
#[derive(Debug)]
enum Reply {
    Came(Frame),
    Failed(Failed, u64),
}

impl<'a, B: Batch> Scatter<'a, B> {
    pub(super) fn new(cluster: &'a Cluster, mut all: Measured<B>) -> Self {
        let mut slots = Vec::new();
        let mut refused = None;
        all.batch.slot_each(&mut |slot| match slot {
            Ok(slot) => slots.push(slot),
            Err(unsent) => refused = refused.take().or(Some(unsent)),
        });
        if let Some(unsent) = refused {
            all.measures = all.measures.and(Err(unsent));
        }
        let count = all.measures.as_ref().map_or(0, Vec::len);
        Self {
            cluster,
            named: all.named(),
            all: Arc::new(all),
            slots,
            time: cluster.connection(None).timeout(),
            deadline: None,
            left: (0..count).collect(),
            detours: HashMap::new(),
            parts: Vec::new(),
            results: (0..count).map(|_| None).collect(),
            timer: None,
        }
    }

    pub(super) fn within(&mut self, time: Duration) {
        if self.deadline.is_none() {
            self.time = time;
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<B::Results> {
        let time = self.time;
        self.deadline.get_or_insert_with(|| Instant::now().checked_add(time));
        loop {
            while self.take_part(cx) {}
            let (begun, next) = self.send();
            if begun {
                continue;
            }
            if self.parts.is_empty() && self.left.is_empty() {
                return Poll::Ready(self.finish());
            }
            let Some(at) = next else { return Poll::Pending };
            let shared = self.cluster.connection(None);
            match shared.pause(&mut self.timer, at.into_std(), cx) {
                Poll::Ready(()) => self.timer = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Polls the parts in flight, oldest first; true if one has ended.
    fn take_part(&mut self, cx: &mut Context<'_>) -> bool {
        for place in 0..self.parts.len() {
            let Some(part) = self.parts.get_mut(place) else { return false };
            if let Poll::Ready(result) = Pin::new(&mut part.call).poll(cx) {
                let shared = self.parts.remove(place).shared;
                self.sort(shared, result);
                return true;
            }
        }
        false
    }

    /// Takes the results of a part, or schedules the next attempt of its commands.
    fn sort(&mut self, shared: &'a Shared, result: PartResult) {
        let PartResult { which, frames, failure } = result;
        let count = which.len();
        let mut frames = frames.into_iter();
        let mut again = Vec::new();
        for (nth, command) in which.into_iter().enumerate() {
            let reply = match frames.next() {
                Some(frame) => Reply::Came(frame),
                None => Reply::Failed(failure.clone(), (count - 1 - nth) as u64),
            };
            if self.again(shared, command, &reply) {
                again.push(command);
            } else if let Some(result) = self.results.get_mut(command) {
                *result = Some(reply);
            }
        }
        if !again.is_empty() {
            self.left.extend(again);
            self.left.sort_unstable();
        }
    }

    /// Whether a command is sent again; how is then in its detour.
    fn again(&mut self, shared: &'a Shared, command: usize, reply: &Reply) -> bool {
        let (now, deadline) = (Instant::now(), self.deadline.flatten());
        let in_time = |at: &Instant| deadline.is_none_or(|deadline| *at < deadline);
        let error = match reply {
            Reply::Failed(Some(failure), _) => match &**failure {
                Failure::Elsewhere => return true,
                Failure::Lost(reason, _) if shared.repeats() && self.all.batch.only_reads() => {
                    let detour = self.detours.entry(command).or_default();
                    let next = detour.attempts.lost(reason, Safety::ReadOnly, random::fraction());
                    let at = next.and_then(|next| now.checked_add(next.after)).filter(in_time);
                    (detour.until, detour.named) = (at, None);
                    return at.is_some();
                }
                Failure::TimedOut { .. } => {
                    self.cluster.failed();
                    return false;
                }
                Failure::Lost(..) | Failure::Unsent(_) => return false,
            },
            Reply::Failed(None, _) => return false,
            Reply::Came(frame) => match self.refusal(command, frame) {
                Some(error) => error,
                None => return false,
            },
        };
        let cluster = self.cluster;
        let detour = self.detours.entry(command).or_default();
        if let Some(Hop { to, asking, after, slot }) = cluster.refused(shared, &error, detour.hops)
        {
            detour.hops = detour.hops.saturating_add(1);
            detour.named = to.map(|to| (to, asking));
            detour.until = now.checked_add(after);
            if let Some(known) = self.slots.get_mut(command) {
                *known = known.or(slot);
            }
            return detour.until.as_ref().is_some_and(in_time);
        }
        if !shared.repeats() {
            return false;
        }
        let next = detour.attempts.refused(&error, random::fraction());
        let deadline = deadline.map(Instant::into_std);
        let at = next.and_then(|next| next.at(now.into_std(), deadline));
        (detour.until, detour.named) = (at.map(Instant::from_std), None);
        at.is_some()
    }

    /// Returns the error of a reply which shows that the command did not run.
    fn refusal(&self, command: usize, frame: &Frame) -> Option<ServerError> {
        let text = frame.error()?;
        let (name, _, refusal) = self.named.get(command)?;
        let error = ServerError::new(name, text).meaning(*refusal);
        (error.outcome() == Outcome::NotApplied).then_some(error)
    }

    /// Begins parts with the commands that may be sent now. Returns whether there are any, and the
    /// time at which others may be sent.
    fn send(&mut self) -> (bool, Option<Instant>) {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        // Of a slot in which a command waits, no later command is sent.
        let mut held: HashSet<u16> = HashSet::new();
        let mut begun: Vec<(&'a Shared, Part<B>, usize)> = Vec::new();
        let mut full: Vec<&'a Shared> = Vec::new();
        let cluster = self.cluster;
        let left = std::mem::take(&mut self.left);
        for command in left {
            let slot = self.slots.get(command).copied().flatten();
            let detour = self.detours.get(&command);
            let waits = detour.and_then(|detour| detour.until).filter(|until| *until > now);
            let (shared, asking) = detour
                .and_then(|detour| detour.named)
                .unwrap_or_else(|| (&**cluster.connection(slot), false));
            let bytes = self.all.size_of(&(command..command + 1)).map_or(0, |size| size.bytes);
            let is_full = full.iter().any(|full| std::ptr::eq(*full, shared));
            if waits.is_some() || is_full || slot.is_some_and(|slot| held.contains(&slot)) {
                next = next.into_iter().chain(waits).min();
                held.extend(slot);
                self.left.push(command);
                continue;
            }
            let is_at = |known: &Shared| std::ptr::eq(known, shared);
            let place = begun.iter().rposition(|(known, ..)| is_at(known));
            let fits = place.and_then(|place| begun.get_mut(place));
            match fits.filter(|(_, _, size)| size + bytes <= PIECE_BYTES) {
                Some((_, part, size)) => {
                    part.which.push((command, asking));
                    *size += bytes;
                }
                None => {
                    let known = self.parts.iter().filter(|part| is_at(part.shared)).count()
                        + begun.iter().filter(|(known, ..)| is_at(known)).count();
                    if known >= MOST_IN_FLIGHT {
                        full.push(shared);
                        held.extend(slot);
                        self.left.push(command);
                        continue;
                    }
                    let which = vec![(command, asking)];
                    begun.push((shared, Part { all: Arc::clone(&self.all), which }, bytes));
                }
            }
        }
        let deadline = self.deadline.flatten();
        let has_begun = !begun.is_empty();
        for (shared, part, _) in begun {
            let call = Call::new(shared, None, part).until(deadline, self.time);
            self.parts.push(PartInFlight { shared, call });
        }
        (has_begun, next)
    }

    fn finish(&mut self) -> B::Results {
        let server = || self.cluster.connection(None).server();
        if let Err(unsent) = &self.all.measures {
            let failure = Some(Box::new(Failure::Unsent(unsent.clone())));
            return self.all.results(Vec::new(), failure, Duration::ZERO, &server);
        }
        let mut results = std::mem::take(&mut self.results).into_iter();
        let waited = self.time;
        let mut next = |command, safety| match results.next().flatten() {
            Some(Reply::Came(frame)) => Ok(frame),
            Some(Reply::Failed(failure, behind)) => {
                Err(error(command, failure, waited, (safety, behind)))
            }
            None => Err(error(command, None, waited, (safety, 0))),
        };
        self.all.batch.results(&mut next, &server)
    }
}

/// The commands of one node, as one request; each with whether ASKING is sent before it.
#[derive(Debug)]
struct Part<B> {
    all: Arc<Measured<B>>,
    which: Vec<(usize, bool)>,
}

/// The result of a part: the replies that came, in order, and why there are no more.
#[derive(Debug)]
struct PartResult {
    which: Vec<usize>,
    frames: Vec<Frame>,
    failure: Failed,
}

impl<B: Batch> Request for Part<B> {
    type Output = PartResult;
    type Measure = ();

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        let mut all = Size { replies: 0, bytes: 0 };
        for (command, asking) in &self.which {
            let size = self.all.size_of(&(*command..command + 1))?;
            all.replies += 1 + usize::from(*asking);
            let asking = if *asking { ASKING.len() } else { 0 };
            all.bytes = all.bytes.saturating_add(size.bytes).saturating_add(asking);
        }
        Ok((all, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        self.which.iter().all(|(command, asking)| {
            if *asking {
                out.extend_from_slice(ASKING);
            }
            self.all.write_some(&(*command..command + 1), out)
        })
    }

    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        _: Duration,
        _: ServerLookup<'_>,
    ) -> PartResult {
        let mut replies = frames(replies).into_iter();
        let mut came = Vec::with_capacity(self.which.len());
        for (_, asking) in &self.which {
            if *asking {
                replies.next();
            }
            came.extend(replies.next());
        }
        let which = self.which.iter().map(|(command, _)| *command).collect();
        PartResult { which, frames: came, failure }
    }
}
