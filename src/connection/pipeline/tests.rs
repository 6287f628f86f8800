use super::*;
use crate::resp::Limits;
use std::time::Duration;

fn frame(text: &str) -> Frame {
    Frame::parse(text.as_bytes().to_vec(), Limits::default()).unwrap()
}

/// A pipeline and its callers' slots: `push` queues one request of 10 bytes.
#[derive(Default)]
struct Line {
    pipeline: Pipeline,
    wakers: Vec<Waker>,
}

impl Line {
    fn push(&mut self, replies: usize, deadline: Option<Instant>) -> SlotId {
        self.pipeline.push(replies, 10, 100, deadline, Some(Waker::noop().clone()))
    }

    fn reply(&mut self, text: &str) -> Result<(), ProtocolError> {
        self.pipeline.reply(frame(text), &mut self.wakers)
    }

    fn take(&mut self, slot: SlotId) -> Option<(Replies, Option<Failure>)> {
        match self.pipeline.take(slot, Waker::noop()) {
            Taken::Came(replies, failure) => Some((replies, failure.map(|failure| *failure))),
            Taken::Wait | Taken::Moved => None,
        }
    }
}

#[test]
fn replies_go_to_the_oldest_waiter_whoever_looks_first() {
    let mut line = Line::default();
    let (a, b) = (line.push(1, None), line.push(1, None));
    line.pipeline.sent_more(usize::MAX >> 1);
    line.reply(":1\r\n").unwrap();
    assert!(line.take(b).is_none());
    line.reply(":2\r\n").unwrap();
    assert!(matches!(line.take(b), Some((Replies::One(f), None)) if f == frame(":2\r\n")));
    assert!(matches!(line.take(a), Some((Replies::One(f), None)) if f == frame(":1\r\n")));
    assert_eq!(line.wakers.len(), 2);
    assert_eq!(line.pipeline.cost(), 0);
}

#[test]
fn a_waiter_for_many_is_woken_once_with_all() {
    let mut line = Line::default();
    let many = line.push(3, None);
    line.pipeline.sent_more(usize::MAX >> 1);
    for n in 1..=3 {
        assert!(line.take(many).is_none());
        line.reply(&format!(":{n}\r\n")).unwrap();
    }
    assert_eq!(line.wakers.len(), 1);
    assert!(matches!(line.take(many), Some((Replies::Many(frames), None)) if frames.len() == 3));
}

#[test]
fn a_reply_that_nobody_has_asked_for_is_a_fault() {
    let mut line = Line::default();
    assert_eq!(line.reply(":1\r\n"), Err(ProtocolError::Unasked));
    line.push(1, None);
    assert_eq!(line.reply(":1\r\n"), Err(ProtocolError::Unasked), "queued, but not sent");
}

#[test]
fn the_reply_to_an_abandoned_request_goes_to_nobody() {
    let mut line = Line::default();
    let (a, b) = (line.push(1, None), line.push(1, None));
    line.pipeline.sent_more(usize::MAX >> 1);
    line.pipeline.abandon(a);
    line.reply(":1\r\n").unwrap();
    line.reply(":2\r\n").unwrap();
    assert!(matches!(line.take(b), Some((Replies::One(f), None)) if f == frame(":2\r\n")));
    let (c, d) = (line.push(1, None), line.push(1, None));
    assert!(c != d && line.pipeline.slots.len() == 2, "slots are used again");
}

#[test]
fn a_late_request_that_was_sent_keeps_its_place_and_one_that_was_not_loses_it() {
    let start = Instant::now();
    let late = Some(start + Duration::from_secs(1));
    let later = Some(start + Duration::from_secs(9));
    let mut line = Line::default();
    let sent = line.push(1, late);
    line.pipeline.sent_more(usize::MAX >> 1);
    let (a, b, c) = (line.push(1, later), line.push(1, late), line.push(1, later));
    assert_eq!(line.pipeline.next_deadline(), late);
    let waited = Duration::from_secs(1);
    let unsent = || Unsent::TimedOut { waited, source: None };
    let expired = line.pipeline.expire(start + Duration::from_secs(2), unsent);
    assert_eq!(expired.wakers.len(), 2);
    assert_eq!(expired.cuts, [(10, 10), (10, 0)]);
    assert!(matches!(line.take(sent), Some((_, Some(Failure::TimedOut { .. })))));
    assert!(matches!(line.take(b), Some((_, Some(Failure::Unsent(Unsent::TimedOut { .. }))))));
    assert_eq!(line.pipeline.next_deadline(), later);
    line.pipeline.sent_more(usize::MAX >> 1);
    for n in 0..3 {
        line.reply(&format!(":{n}\r\n")).unwrap();
    }
    assert!(matches!(line.take(a), Some((Replies::One(f), None)) if f == frame(":1\r\n")));
    assert!(matches!(line.take(c), Some((Replies::One(f), None)) if f == frame(":2\r\n")));
}

#[test]
fn when_a_connection_ends_only_requests_of_which_nothing_left_are_kept() {
    // Three requests of 10 bytes are with the writer, one is not. For each number of unwritten bytes: how many are kept.
    for (unwritten, kept) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (30, 3)] {
        let mut line = Line::default();
        let slots: Vec<SlotId> = (0..3).map(|_| line.push(1, None)).collect();
        line.pipeline.sent_more(usize::MAX >> 1);
        let unsent = line.push(1, None);
        let bytes = line.pipeline.disconnected(unwritten, &Disconnect::Eof, &mut line.wakers);
        assert_eq!(bytes, kept * 10, "{unwritten}");
        let lost = slots
            .iter()
            .filter(|slot| matches!(line.take(**slot), Some((_, Some(Failure::Lost(_))))));
        assert_eq!(lost.count(), 3 - kept, "{unwritten}");
        assert!(line.take(unsent).is_none());
        assert_eq!(line.pipeline.unsent(), kept + 1, "{unwritten}");
    }
}

#[test]
fn replies_that_came_before_the_end_are_kept() {
    let mut line = Line::default();
    let many = line.push(3, None);
    line.pipeline.sent_more(usize::MAX >> 1);
    line.reply(":1\r\n").unwrap();
    line.pipeline.disconnected(0, &Disconnect::Eof, &mut line.wakers);
    let Some((Replies::Many(frames), Some(Failure::Lost(_)))) = line.take(many) else {
        panic!("the first reply was whole");
    };
    assert_eq!(frames, [frame(":1\r\n")]);
}

#[test]
fn everyone_is_told_when_it_closes() {
    let mut line = Line::default();
    let (a, b) = (line.push(1, None), line.push(2, None));
    line.pipeline.abandon(a);
    line.pipeline.close(&mut line.wakers);
    assert!(matches!(line.take(b), Some((_, Some(Failure::Unsent(Unsent::Closed))))));
    assert_eq!((line.pipeline.len(), line.pipeline.cost(), line.wakers.len()), (0, 0, 1));
}

#[test]
fn a_waker_that_takes_anothers_place_does_so_only_while_there_is_something_to_wait_for() {
    let mut line = Line::default();
    let slot = line.push(1, None);
    line.pipeline.sent_more(usize::MAX >> 1);
    let mut waker = Some(Waker::noop().clone());
    assert!(line.pipeline.moved(slot, &mut waker) && waker.is_some(), "the one before it");
    line.reply(":1\r\n").unwrap();
    assert!(!line.pipeline.moved(slot, &mut waker));
    assert!(line.take(slot).is_some());
}
