//! Any frame may be the reply of any command: it is decoded, or is an error, in memory proportional
//! to the frame.
//!
//! The first byte of an input selects its form. Even: the rest are frames one after the other. Odd:
//! [`shapes`] builds a reply from the rest. Decoded entries equal those of the slow decoder, with
//! two allocations at most.

use super::{shapes, slow};
use bourn::command::*;
use bourn::resp::{Frame, Limits, Scanner, Value};
use bytes::Bytes;
use std::fmt::Debug;

/// The maximum number of frames of one input that are checked.
const FRAMES: usize = 16;

/// The maximum memory of a reply per byte of the frame. A value tree needs most: a null of three
/// bytes is a value of 32, in a vector that is reallocated to twice the length; or an array of one,
/// of four bytes, is a vector of 128.
const FACTOR: u64 = 40;

/// Frames up to this length are kept in place.
const INLINE: usize = 38;

/// Runs one input.
///
/// # Panics
///
/// A property does not hold.
pub fn holds(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    if mode % 2 == 1 {
        let bytes = shapes::reply(&mut shapes::Source(rest));
        return every(&Frame::parse(bytes, Limits::default()).expect("a frame"));
    }
    let mut scanner = Scanner::new(Limits::default());
    let mut bytes = Bytes::copy_from_slice(rest);
    for _ in 0..FRAMES {
        let Ok(Some(len)) = scanner.scan(&bytes) else { return };
        let frame = bytes.split_to(len);
        every(&Frame::parse(frame, Limits::default()).expect("a frame"));
    }
}

fn every(frame: &Frame) {
    macro_rules! each {
        ($($command:ty),* $(,)?) => { $(one::<$command>(frame);)* };
    }
    each!(
        Auth<'_>,
        ClientGetName,
        ClientId,
        ClientKill,
        ClientNoEvict,
        ClientPause,
        ClientSetName<'_>,
        ClientUnblock,
        ClientUnpause,
        ClusterShards,
        ClusterSlots,
        Del<'_>,
        Echo<'_>,
        Exists<'_>,
        Expire<'_>,
        Hello<'_>,
        PExpire<'_>,
        Ping,
        PingText<'_>,
        Raw<'_>,
        Role,
        Type<'_>,
        Unlink<'_>,
        Wait,
        WaitAof,
        XAck<'_>,
        XAckDel<'_>,
        XAdd<'_>,
        XAddNoMkStream<'_>,
        XAutoClaim<'_>,
        XAutoClaimJustId<'_>,
        XCfgSet<'_>,
        XClaim<'_>,
        XClaimJustId<'_>,
        XDel<'_>,
        XDelEx<'_>,
        XGroupCreate<'_>,
        XGroupCreateConsumer<'_>,
        XGroupDelConsumer<'_>,
        XGroupDestroy<'_>,
        XGroupHelp,
        XGroupSetId<'_>,
        XIdmpRecord<'_>,
        XInfoConsumers<'_>,
        XInfoGroups<'_>,
        XInfoHelp,
        XInfoStream<'_>,
        XInfoStreamFull<'_>,
        XLen<'_>,
        XNack<'_>,
        XPending<'_>,
        XPendingRange<'_>,
        XRange<'_>,
        XRead<'_>,
        XReadGroup<'_>,
        XRevRange<'_>,
        XSetId<'_>,
        XTrim<'_>,
    );
    // The fast decoder does not accept streamed forms, which the tree decodes like any other.
    let streamed = frame.as_bytes().windows(3).any(|bytes| bytes == b"?\r\n");
    if !streamed {
        as_slow(frame);
    }
}

fn one<C: DedicatedCommand>(frame: &Frame)
where
    C::DedicatedReply: Debug,
{
    let len = frame.as_bytes().len();
    let mut reply = None;
    let info = allocation_counter::measure(|| reply = Some(C::dedicated_reply(frame.clone())));
    let most = FACTOR * len as u64 + (16 << 10);
    assert!(info.bytes_max <= most, "{}: {} bytes for {len}", C::DEDICATED_NAME, info.bytes_max);
    if len < 4096 {
        drop(format!("{reply:?}"));
    }
}

fn as_slow(frame: &Frame) {
    let value = Value::from(frame);
    // A frame that is not small is shared from here on, like one that was split off a read buffer.
    let shared = frame.clone();
    let mut reply = None;
    let info = allocation_counter::measure(|| reply = XRange::reply(shared).ok());
    let reply = reply.map(|entries| {
        // A frame that is small enough to be stored inline is copied out first.
        let most = if frame.as_bytes().len() <= INLINE { 4 } else { 2 };
        assert!(info.count_total <= most, "{} allocations for entries", info.count_total);
        slow::of_entries(&entries)
    });
    assert_eq!(reply, slow::batch(&value), "entries");
    let streams = <XRead<'_> as Command>::reply(frame.clone()).ok();
    let streams = streams.map(|streams| slow::of_streams(&streams));
    assert_eq!(streams, slow::streams(&value), "streams");
}
