//! Entries decoded in place: without an allocation per entry, and equal to the reference decoder's.

use super::fuzz::slow::{batch, of_entries, of_streams, streams};
use super::fuzz::{replies, shapes};
use allocation_counter::{AllocationInfo, measure};
use bourn::command::Command;
use bourn::resp::{Frame, Limits, Value};
use bourn::{Entries, Streams, XRange, XRead, XReadGroup};
use bytes::BytesMut;
use proptest::prelude::*;

/// An entry in RESP: its id, fields and values of these lengths, and the elements that CLAIM adds.
fn entry(ms: u64, lengths: impl IntoIterator<Item = usize>, delivery: &str) -> String {
    let bulk = |text: String| format!("${}\r\n{text}\r\n", text.len());
    let spans: Vec<_> = lengths.into_iter().map(|len| bulk("x".repeat(len))).collect();
    let parts = if delivery.is_empty() { 2 } else { 4 };
    let id = bulk(format!("{ms}-0"));
    format!("*{parts}\r\n{id}*{}\r\n{}{delivery}", spans.len(), spans.concat())
}

/// A reply as the driver passes it on: split off a read buffer that holds more.
fn frame(reply: &str) -> Frame {
    let mut buf = BytesMut::from(reply);
    buf.extend_from_slice(b"+OK\r\n");
    Frame::parse(buf.split_to(reply.len()).freeze(), Limits::default()).expect("a frame")
}

fn read<C: Command>(reply: &str) -> (C::Reply, AllocationInfo) {
    let (frame, mut read) = (frame(reply), None);
    let info = measure(|| read = Some(C::reply(frame)));
    (read.and_then(Result::ok).expect("a reply"), info)
}

#[test]
fn batch_decodes_with_at_most_two_allocations() {
    const THOUSAND: usize = 1000;
    let lengths = |i: usize, fields: usize| (0..2 * fields).map(move |j| (i + j) % 30);
    let fields: [(&str, fn(usize) -> usize); 6] = [
        ("five fields each", |_| 5),
        ("one, and then more", |i| 1 + usize::from(i > 0) * 4),
        ("ever more", |i| i % 25),
        ("ever fewer", |i| 25 - i % 25),
        ("one with many, first", |i| if i == 0 { 500 } else { 1 }),
        ("one with many, last", |i| if i == THOUSAND - 1 { 500 } else { 1 }),
    ];
    for delivery in ["", ":12345\r\n:3\r\n"] {
        for (name, fields) in fields {
            let entries: Vec<_> = (0..THOUSAND)
                .map(|i| entry(1_700_000_000_000 + i as u64, lengths(i, fields(i)), delivery))
                .collect();
            let list = format!("*{THOUSAND}\r\n{}", entries.concat());
            let (entries, info): (Entries, _) = read::<XRange<'_>>(&list);
            assert!(info.count_total <= 2, "{name}: {} allocations", info.count_total);
            let counts: Vec<_> = entries.iter().map(|entry| entry.fields().len()).collect();
            assert_eq!(counts, (0..THOUSAND).map(fields).collect::<Vec<_>>(), "{name}");
            assert_eq!(entries.last().map(|last| last.id().ms()), Some(1_700_000_000_999));

            for reply in [format!("%1\r\n+s\r\n{list}"), format!("*1\r\n*2\r\n$1\r\ns\r\n{list}")] {
                let (streams, info): (Streams, _) = read::<XRead<'_>>(&reply);
                assert!(info.count_total <= 2, "{name}, stream: {} allocations", info.count_total);
                assert_eq!(streams.get("s"), Some(&entries), "{name}");
                let (streams, info): (Streams, _) = read::<XReadGroup<'_>>(&reply);
                assert!(info.count_total <= 2, "{name}, group: {} allocations", info.count_total);
                assert_eq!(streams.len(), 1000);
            }
        }
    }
}

#[test]
fn streams_decode_with_two_allocations_each_plus_one() {
    let list = format!("*2\r\n{}{}", entry(1, [1, 1], ""), entry(2, [9, 90, 900, 9], ""));
    for count in [2, 3, 50] {
        let reply = format!("%{count}\r\n{}", format!("+s\r\n{list}").repeat(count));
        let (streams, info): (Streams, _) = read::<XRead<'_>>(&reply);
        assert!(info.count_total <= 2 * count as u64 + 1, "{count}: {}", info.count_total);
        assert_eq!(streams.len(), 2 * count);
    }
}

#[test]
fn retained_size_is_the_reply_and_its_index() {
    let list: String = (0..100).map(|i| entry(i, [3, 10, 4, 20], "")).collect();
    let reply = format!("*100\r\n{list}");
    let (entries, info): (Entries, _) = read::<XRange<'_>>(&reply);
    assert_eq!(entries.held_bytes(), reply.len() + usize::try_from(info.bytes_max).unwrap());
    assert!(entries.held_bytes() < 4 * reply.len());
}

#[test]
fn detached_entries_retain_only_their_own_bytes() {
    let all: String = (0..100).map(|ms| entry(ms, [1, 1000], ":5\r\n:2\r\n")).collect();
    let few = entry(7, [1, 10], ":5\r\n:2\r\n");
    let reply = format!("*2\r\n*2\r\n+a\r\n*100\r\n{all}*2\r\n+b\r\n*1\r\n{few}");
    let (streams, _) = read::<XRead<'_>>(&reply);
    let few = streams.get("b").expect("it is there").clone();
    assert!(few.held_bytes() > 100_000);
    let detached = few.clone().detach();
    assert_eq!(detached, few);
    assert_eq!(detached.first().and_then(|entry| entry.delivery()).map(|d| d.deliveries), Some(2));
    assert!(detached.held_bytes() < 100, "{}", detached.held_bytes());
}

#[test]
fn reservation_is_bounded_by_the_bytes_received() {
    // An entry and then nulls or invalid elements: memory is reserved at the first entry.
    let first = [
        entry(1, [], ""),
        entry(1, [1, 1], ""),
        entry(1, [1; 40], ""),
        entry(1, [], ":1\r\n:1\r\n"),
    ];
    for element in ["_\r\n", "*0\r\n", ":1\r\n"] {
        for first in first.iter().map(String::as_str).chain([""]) {
            let reply =
                format!("*{}\r\n{first}{}", 100_000, element.repeat(100_000 - first.len().min(1)));
            let frame = frame(&reply);
            let info = measure(|| drop(XRange::reply(frame)));
            let factor = info.bytes_max as f64 / reply.len() as f64;
            assert!(
                factor < 9.0,
                "{first:?} and {element:?}: {factor:.1} bytes for each of the reply"
            );
        }
    }
}

proptest! {
    #[test]
    fn entries_match_the_reference_decoder(shape in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = shapes::reply(&mut shapes::Source(&shape));
        let frame = Frame::parse(bytes.clone(), Limits::default()).unwrap();
        prop_assume!(!bytes.windows(3).any(|bytes| bytes == b"?\r\n"));
        let value = Value::from(&frame);
        let entries = XRange::reply(frame.clone()).ok();
        prop_assert_eq!(entries.as_ref().map(of_entries), batch(&value));
        let read = <XRead<'_> as Command>::reply(frame).ok();
        prop_assert_eq!(read.as_ref().map(of_streams), streams(&value));
        if let Some(entries) = entries {
            let detached = entries.clone().detach();
            prop_assert!(detached.iter().eq(entries.iter()));
            prop_assert_eq!((detached.len(), detached.nulls()), (entries.len(), entries.nulls()));
            prop_assert!(detached.held_bytes() <= entries.held_bytes());
            prop_assert_eq!(detached.clone().detach(), detached);
        }
        replies::holds(&[b"\x01", shape.as_slice()].concat());
    }

    #[test]
    fn uniform_and_mixed_entries_decode_alike(
        rows in prop::collection::vec((0..4u64, prop::collection::vec(0..120usize, 0..20)), 1..30),
        forms in prop::collection::vec(0..12u8, 1..9),
    ) {
        // Many entries repeat the headers of the one before, with lengths of one to three digits.
        let entries: String = rows
            .iter()
            .map(|(ms, lengths)| entry(*ms, lengths.iter().take(lengths.len() & !1).copied(), ""))
            .collect();
        // Some strings are simple ones, of unknown length at the start, or have an attribute.
        let mut forms = forms.into_iter().cycle();
        let mut parts = entries.split('$');
        let mut reply = format!("*{}\r\n{}", rows.len(), parts.next().unwrap_or_default());
        for part in parts {
            match (forms.next(), part.split_once("\r\n")) {
                (Some(0), Some((_, text))) => reply.extend(["+", text]),
                (Some(1), _) => reply.extend(["|0\r\n$", part]),
                _ => reply.extend(["$", part]),
            }
        }
        let frame = frame(&reply);
        let slow = batch(&Value::from(&frame));
        prop_assert!(slow.is_some());
        prop_assert_eq!(XRange::reply(frame).ok().as_ref().map(of_entries), slow);
    }
}
