use super::*;
use crate::resp::Limits;
use std::time::Duration;

fn frame(text: &str) -> Frame {
    Frame::parse(text.as_bytes().to_vec(), Limits::default()).unwrap()
}

fn due(at: Instant) -> Due {
    Due { at, time: Duration::from_secs(5) }
}

/// A pipeline and its callers' slots: `push` queues one request of 10 bytes.
#[derive(Default)]
struct Line {
    pipeline: Pipeline,
    wakers: Vec<Waker>,
}

impl Line {
    fn push(&mut self, replies: usize, deadline: Option<Instant>) -> SlotId {
        self.pipeline.push(replies, 10, 100, deadline.map(due), Some(Waker::noop().clone()))
    }

    fn reply(&mut self, text: &str) -> Result<(), ProtocolError> {
        self.pipeline.reply(frame(text), &mut self.wakers)
    }

    fn take(&mut self, slot: SlotId) -> Option<(Replies, Option<Failure>)> {
        match self.pipeline.take(slot, Waker::noop()) {
            Taken::Done(replies, failure) => Some((replies, failure.map(|failure| *failure))),
            Taken::Wait | Taken::OtherWaker => None,
        }
    }
}

#[test]
fn reply_goes_to_the_oldest_waiter_in_any_polling_order() {
    let mut line = Line::default();
    let (a, b) = (line.push(1, None), line.push(1, None));
    line.pipeline.sent_more(usize::MAX >> 1);
    line.reply(":1\r\n").unwrap();
    assert!(line.take(b).is_none());
    line.reply(":2\r\n").unwrap();
    assert!(matches!(line.take(b), Some((Replies::Single(f), None)) if f == frame(":2\r\n")));
    assert!(matches!(line.take(a), Some((Replies::Single(f), None)) if f == frame(":1\r\n")));
    assert_eq!(line.wakers.len(), 2);
    assert_eq!(line.pipeline.cost(), 0);
}

#[test]
fn waiter_for_many_replies_is_woken_once_with_all() {
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
fn unsolicited_reply_is_an_error() {
    let mut line = Line::default();
    assert_eq!(line.reply(":1\r\n"), Err(ProtocolError::Unasked));
    line.push(1, None);
    assert_eq!(line.reply(":1\r\n"), Err(ProtocolError::Unasked), "queued, but not sent");
}

#[test]
fn only_a_reply_to_a_waiting_caller_counts_as_alive() {
    let start = Instant::now();
    let late = start + Duration::from_secs(5);
    let mut line = Line::default();
    let slots = [line.push(1, Some(late)), line.push(1, Some(late)), line.push(1, None)];
    line.pipeline.sent_more(usize::MAX >> 1);
    line.pipeline.abandon(slots[0]);
    line.pipeline.expire(late, || Unsent::Closed);
    line.reply(":1\r\n").unwrap();
    assert!(!line.pipeline.take_alive(), "its caller was dropped");
    line.reply(":2\r\n").unwrap();
    assert!(!line.pipeline.take_alive(), "its caller timed out");
    line.reply(":3\r\n").unwrap();
    assert!(line.pipeline.take_alive());
    assert!(!line.pipeline.take_alive(), "reset by the first call");
}

#[test]
fn probe_goes_before_unsent_requests_and_accepts_pong_or_an_error() {
    let due = due(Instant::now());
    for (reply, expected) in [
        ("+PONG\r\n", Ok(())),
        ("$4\r\nPONG\r\n", Ok(())),
        ("-LOADING later\r\n", Ok(())),
        (":1\r\n", Err(ProtocolError::Shifted)),
        ("$1\r\nx\r\n", Err(ProtocolError::Shifted)),
        ("_\r\n", Err(ProtocolError::Shifted)),
    ] {
        let mut line = Line::default();
        let unsent = line.push(1, None);
        line.pipeline.push_probe(14, 20, Some(due));
        assert_eq!(line.pipeline.owed(), Owed::By(due));
        assert_eq!((line.pipeline.sent(), line.pipeline.unsent()), (1, 1));
        assert_eq!(line.reply(reply), expected, "{reply:?}");
        assert_eq!(line.pipeline.take_alive(), expected.is_ok());
        if expected.is_ok() {
            assert_eq!((line.pipeline.sent(), line.pipeline.cost()), (0, 100));
            line.pipeline.sent_more(1);
            line.reply(":7\r\n").unwrap();
            assert!(line.take(unsent).is_some());
        }
    }
}

#[test]
fn reply_to_an_abandoned_request_is_discarded() {
    let mut line = Line::default();
    let (a, b) = (line.push(1, None), line.push(1, None));
    line.pipeline.sent_more(usize::MAX >> 1);
    line.pipeline.abandon(a);
    line.reply(":1\r\n").unwrap();
    line.reply(":2\r\n").unwrap();
    assert!(matches!(line.take(b), Some((Replies::Single(f), None)) if f == frame(":2\r\n")));
    let (c, d) = (line.push(1, None), line.push(1, None));
    assert!(c != d && line.pipeline.slots.len() == 2, "slots are used again");
}

#[test]
fn unsent_probe_is_not_kept_for_the_next_connection() {
    let mut line = Line::default();
    let (a, _b) = (line.push(1, None), line.push(1, None));
    let unsent = line.pipeline.len();
    line.pipeline.push_check(14, 14, None);
    assert!(line.pipeline.is_probed());
    let expired = line.pipeline.expire(Instant::now(), || Unsent::Closed);
    assert!(expired.cuts.is_empty(), "it has no caller whose deadline passed");
    let expired = line.pipeline.next_connection();
    assert_eq!(expired.cuts.last().map(|cut| cut.1), Some(14));
    assert!(!line.pipeline.is_probed() && line.pipeline.len() == unsent);
    line.pipeline.sent_more(unsent);
    line.reply(":1\r\n").unwrap();
    assert!(matches!(line.take(a), Some((Replies::Single(_), None))));
}

#[test]
fn overdue_request_keeps_its_place_if_sent_and_leaves_the_queue_if_not() {
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
    assert!(matches!(line.take(a), Some((Replies::Single(f), None)) if f == frame(":1\r\n")));
    assert!(matches!(line.take(c), Some((Replies::Single(f), None)) if f == frame(":2\r\n")));
}

#[test]
fn disconnect_keeps_only_requests_with_no_byte_written() {
    // Three requests of 10 bytes are sent, one is not. Rows: unwritten bytes, requests kept.
    for (unwritten, kept) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (30, 3)] {
        let mut line = Line::default();
        let slots: Vec<SlotId> = (0..3).map(|_| line.push(1, None)).collect();
        line.pipeline.sent_more(usize::MAX >> 1);
        let unsent = line.push(1, None);
        let bytes = line.pipeline.disconnected(unwritten, &Disconnect::Eof, &mut line.wakers);
        assert_eq!(bytes, kept * 10, "{unwritten}");
        let lost = slots
            .iter()
            .filter(|slot| matches!(line.take(**slot), Some((_, Some(Failure::Lost(..))))));
        assert_eq!(lost.count(), 3 - kept, "{unwritten}");
        assert!(line.take(unsent).is_none());
        assert_eq!(line.pipeline.unsent(), kept + 1, "{unwritten}");
    }
}

#[test]
fn replies_before_a_disconnect_are_kept() {
    let mut line = Line::default();
    let many = line.push(3, None);
    line.pipeline.sent_more(usize::MAX >> 1);
    line.reply(":1\r\n").unwrap();
    line.pipeline.disconnected(0, &Disconnect::Eof, &mut line.wakers);
    let Some((Replies::Many(frames), Some(Failure::Lost(..)))) = line.take(many) else {
        panic!("the first reply was complete");
    };
    assert_eq!(frames, [frame(":1\r\n")]);
}

#[test]
fn close_fails_every_waiter() {
    let mut line = Line::default();
    let (a, b) = (line.push(1, None), line.push(2, None));
    line.pipeline.abandon(a);
    line.pipeline.close(&mut line.wakers);
    assert!(matches!(line.take(b), Some((_, Some(Failure::Unsent(Unsent::Closed))))));
    assert_eq!((line.pipeline.len(), line.pipeline.cost(), line.wakers.len()), (0, 0, 1));
}

#[test]
fn waker_is_replaced_only_before_the_slot_is_done() {
    let mut line = Line::default();
    let slot = line.push(1, None);
    line.pipeline.sent_more(usize::MAX >> 1);
    let mut waker = Some(Waker::noop().clone());
    assert!(line.pipeline.replace_waker(slot, &mut waker) && waker.is_some(), "the previous waker");
    line.reply(":1\r\n").unwrap();
    assert!(!line.pipeline.replace_waker(slot, &mut waker));
    assert!(line.take(slot).is_some());
}

mod histories;
