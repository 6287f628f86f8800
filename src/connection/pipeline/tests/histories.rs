//! Compares any history of a pipeline with a naive model that keeps every request.

use super::*;
use proptest::prelude::*;

/// One event; the numbers select the request or the number of bytes.
type Event = (u8, usize, u64);

/// The model's record of a request. Its bytes on the wire are its number, repeated.
#[derive(Debug)]
struct Modelled {
    slot: SlotId,
    replies: usize,
    bytes: usize,
    deadline: Option<u64>,
    got: Vec<Frame>,
    answered: usize,
    failure: Option<&'static str>,
    /// The caller's result is final.
    settled: bool,
    /// The caller still holds the slot.
    held: bool,
    /// For one connection only.
    pinned: bool,
}

struct Naive {
    start: Instant,
    now: u64,
    line: Line,
    asked: Vec<Modelled>,
    /// The requests to be answered, by number.
    sent: Vec<usize>,
    unsent: Vec<usize>,
    /// The bytes of the unsent requests.
    out: Vec<usize>,
    /// The number of callers that must have been woken.
    woken: usize,
    /// The maximum of requests that were held or owed at once.
    most: usize,
}

impl Naive {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            now: 0,
            line: Line::default(),
            asked: Vec::new(),
            sent: Vec::new(),
            unsent: Vec::new(),
            out: Vec::new(),
            woken: 0,
            most: 0,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn cost(bytes: usize) -> usize {
        bytes + 7
    }

    /// Ends a request; its caller takes the result later.
    fn end(&mut self, n: usize, failure: Option<&'static str>) {
        let asked = &mut self.asked[n];
        if asked.held && !asked.settled {
            asked.settled = true;
            asked.failure = failure;
            self.woken += 1;
        }
    }

    /// Removes the unsent requests for which `which` is true, and their bytes.
    fn cut(&mut self, which: impl Fn(&Modelled) -> bool, failure: &'static str) {
        let (out, kept) = self.unsent.iter().partition(|n| which(&self.asked[**n]));
        self.unsent = kept;
        let out: Vec<usize> = out;
        self.out.retain(|n| !out.contains(n));
        out.into_iter().for_each(|n| self.end(n, Some(failure)));
    }

    /// Removes the pipeline's ranges from bytes.
    fn cut_out(bytes: &[usize], cuts: &[(usize, usize)]) -> Vec<usize> {
        let (mut kept, mut rest) = (Vec::new(), bytes);
        for (keep, cut) in cuts {
            kept.extend(&rest[..*keep]);
            rest = &rest[keep + cut..];
        }
        kept.extend(rest);
        kept
    }

    /// Returns the nth request that a caller still holds.
    fn held(&self, nth: usize) -> Option<usize> {
        let held: Vec<usize> = (0..self.asked.len()).filter(|n| self.asked[*n].held).collect();
        held.get(nth % held.len().max(1)).copied()
    }

    fn step(&mut self, (what, a, b): Event) {
        match what {
            0..6 => {
                self.push(1 + a % 3, 1 + a % 40, (b % 3 > 0).then_some(self.now + b));
                if b % 5 == 0 {
                    let asked = self.asked.last_mut().expect("it was pushed");
                    asked.pinned = true;
                    self.line.pipeline.pin(asked.slot);
                }
            }
            6..9 => {
                self.line.pipeline.sent_more(usize::MAX >> 1);
                self.sent.append(&mut self.unsent);
                self.out.clear();
            }
            9..14 => self.reply(b),
            14..16 => self.take(a),
            16 => {
                let Some(n) = self.held(a) else { return };
                let settled = self.asked[n].settled;
                let waker = self.line.pipeline.abandon(self.asked[n].slot);
                assert_eq!(waker.is_some(), !settled, "a caller with a result was woken");
                self.asked[n].held = false;
            }
            17 => self.expire(b),
            18 => {
                let before = self.out.clone();
                self.cut(|asked| !asked.held || asked.settled || asked.pinned, "reconnected");
                let expired = self.line.pipeline.next_connection();
                assert_eq!(Self::cut_out(&before, &expired.cuts), self.out);
                self.line.wakers.extend(expired.wakers);
            }
            19 => {
                let before = self.out.clone();
                self.cut(|_| true, "elsewhere");
                let expired = self.line.pipeline.evict();
                assert_eq!(Self::cut_out(&before, &expired.cuts), self.out);
                self.line.wakers.extend(expired.wakers);
            }
            _ => self.disconnect(a),
        }
    }

    fn push(&mut self, replies: usize, bytes: usize, deadline: Option<u64>) {
        let at = deadline.map(|ms| due(self.at(ms)));
        let waker = Some(Waker::noop().clone());
        let slot = self.line.pipeline.push(replies, bytes, Self::cost(bytes), at, waker);
        let n = self.asked.len();
        let mine = |n: &usize| self.asked[*n].slot == slot;
        assert!(!self.sent.iter().chain(&self.unsent).any(mine), "the slot is owed a reply");
        assert!(!self.asked.iter().any(|asked| asked.held && asked.slot == slot), "it is in use");
        self.unsent.push(n);
        self.out.extend(vec![n; bytes]);
        let (got, failure) = (Vec::new(), None);
        let (answered, settled, held) = (0, false, true);
        self.asked.push(Modelled {
            slot,
            replies,
            bytes,
            deadline,
            got,
            answered,
            failure,
            settled,
            held,
            pinned: false,
        });
        let owed = |n: &usize| self.sent.contains(n) || self.unsent.contains(n);
        let live = (0..=n).filter(|n| self.asked[*n].held || owed(n)).count();
        self.most = self.most.max(live);
        assert!(self.line.pipeline.slots.len() <= self.most, "a slot is lost");
    }

    fn reply(&mut self, text: u64) {
        let frame = frame(&format!(":{text}\r\n"));
        let result = self.line.pipeline.reply(frame.clone(), &mut self.line.wakers);
        let Some(n) = self.sent.first().copied() else {
            return assert_eq!(result, Err(ProtocolError::Unasked));
        };
        assert_eq!(result, Ok(()));
        let asked = &mut self.asked[n];
        asked.answered += 1;
        if asked.held && !asked.settled {
            asked.got.push(frame);
        }
        if asked.answered == asked.replies {
            self.sent.remove(0);
            self.end(n, None);
        }
    }

    fn take(&mut self, nth: usize) {
        let Some(n) = self.held(nth) else { return };
        let came = self.line.take(self.asked[n].slot);
        let owed = self.sent.contains(&n) || self.unsent.contains(&n);
        let asked = &mut self.asked[n];
        assert_eq!(came.is_some(), asked.settled, "{asked:?}");
        let Some((replies, failure)) = came else { return };
        let replies = match replies {
            Replies::None => Vec::new(),
            Replies::Single(frame) => vec![frame],
            Replies::Many(frames) => frames,
        };
        assert_eq!(replies, asked.got);
        let failure = failure.map(|failure| match failure {
            Failure::Unsent(Unsent::Closed) => "closed",
            Failure::Unsent(Unsent::Reconnected) => "reconnected",
            Failure::Unsent(_) => "unsent",
            Failure::Lost(..) => "lost",
            Failure::Elsewhere => "elsewhere",
            Failure::TimedOut { owed: said, .. } => {
                assert_eq!(said, owed);
                "timed out"
            }
        });
        assert_eq!(failure, asked.failure);
        asked.held = false;
    }

    fn expire(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        let late = |asked: &Modelled| asked.deadline.is_some_and(|deadline| deadline <= now);
        let sent = self.sent.iter().copied().filter(|n| late(&self.asked[*n]));
        sent.collect::<Vec<_>>().into_iter().for_each(|n| self.end(n, Some("timed out")));
        let before = self.out.clone();
        self.cut(late, "unsent");
        let (now, waited) = (self.at(now), Duration::ZERO);
        let unsent = || Unsent::TimedOut { waited, source: None };
        let expired = self.line.pipeline.expire(now, unsent);
        assert_eq!(Self::cut_out(&before, &expired.cuts), self.out);
        self.line.wakers.extend(expired.wakers);
    }

    fn disconnect(&mut self, bytes: usize) {
        // A partly answered request was written.
        let written = self.sent.iter().filter(|n| self.asked[**n].answered > 0).count();
        let most: usize = self.sent.iter().skip(written).map(|n| self.asked[*n].bytes).sum();
        let unwritten = bytes % (most + 1);
        let mut kept = self.sent.clone();
        while kept.iter().map(|n| self.asked[*n].bytes).sum::<usize>() > unwritten {
            kept.remove(0);
        }
        let lost = self.sent.len() - kept.len();
        for n in self.sent.drain(..).take(lost).collect::<Vec<_>>() {
            self.end(n, Some("lost"));
        }
        let pieces = kept.iter().flat_map(|n| vec![*n; self.asked[*n].bytes]);
        let bytes: Vec<usize> = pieces.collect();
        let said =
            self.line.pipeline.disconnected(unwritten, &Disconnect::Eof, &mut self.line.wakers);
        assert_eq!(said, bytes.len());
        self.out.splice(..0, bytes);
        self.unsent.splice(..0, kept);
    }

    /// Checks that both agree on everything.
    fn check(&self) {
        let pipeline = &self.line.pipeline;
        assert_eq!((pipeline.sent(), pipeline.unsent()), (self.sent.len(), self.unsent.len()));
        let owed = || self.sent.iter().chain(&self.unsent).map(|n| &self.asked[*n]);
        let cost: usize = owed().map(|asked| Self::cost(asked.bytes)).sum();
        assert_eq!(pipeline.cost(), cost);
        assert_eq!(self.out.len(), self.unsent.iter().map(|n| self.asked[*n].bytes).sum::<usize>());
        assert_eq!(self.line.wakers.len(), self.woken, "each caller is woken once");
        for asked in self.asked.iter().filter(|asked| asked.held) {
            assert_eq!(pipeline.is_settled(asked.slot), asked.settled);
        }
        // Every open deadline has an alarm.
        let open = owed().filter(|asked| asked.held && !asked.settled);
        let first = open.filter_map(|asked| asked.deadline).min().map(|ms| self.at(ms));
        let alarm = pipeline.next_deadline();
        assert!(first.is_none_or(|first| alarm.is_some_and(|alarm| alarm <= first)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn pipeline_matches_the_naive_model_for_any_history(
        events in prop::collection::vec((0..21_u8, 0..200_usize, 0..40_u64), 1..120),
    ) {
        let mut naive = Naive::new();
        for event in events {
            naive.step(event);
            naive.check();
        }
        // At the end no slot is left.
        naive.line.pipeline.close(&mut naive.line.wakers);
        for n in naive.sent.clone().into_iter().chain(naive.unsent.clone()) {
            naive.end(n, Some("closed"));
        }
        (naive.sent, naive.unsent, naive.out) = Default::default();
        naive.check();
        while naive.held(0).is_some() {
            naive.take(0);
        }
        prop_assert_eq!(naive.line.pipeline.free.len(), naive.line.pipeline.slots.len());
    }
}
