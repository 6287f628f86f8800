//! Strategies for arguments and parts of replies, including ones that look like RESP.

use bourn::{Arg, EntryId};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

/// Any bytes.
pub(crate) fn bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => Just(Vec::new()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"$3\r\n".to_vec()),
        1 => Just(b"two words\0".to_vec()),
        1 => Just(b"STREAMS".to_vec()),
        1 => vec(any::<u8>(), 99..101),
        1 => vec(any::<u8>(), 999..1001),
    ]
    .boxed()
}

/// Any text that a simple string can hold.
pub(crate) fn line() -> BoxedStrategy<Vec<u8>> {
    let byte = any::<u8>().prop_filter("no CR or LF", |b| !matches!(b, b'\r' | b'\n'));
    vec(byte, 0..40).boxed()
}

/// An argument of any type.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Bytes(Vec<u8>),
    Unsigned(u64),
    Signed(i64),
    Id(EntryId),
}

impl Given {
    pub(crate) fn arg(&self) -> Arg<'_> {
        match self {
            Self::Bytes(bytes) => bytes.into(),
            Self::Unsigned(n) => (*n).into(),
            Self::Signed(n) => (*n).into(),
            Self::Id(id) => (*id).into(),
        }
    }
}

pub(crate) fn given() -> BoxedStrategy<Given> {
    prop_oneof![
        5 => bytes().prop_map(Given::Bytes),
        1 => any::<u64>().prop_map(Given::Unsigned),
        1 => any::<i64>().prop_map(Given::Signed),
        1 => id().prop_map(Given::Id),
    ]
    .boxed()
}

pub(crate) fn id() -> BoxedStrategy<EntryId> {
    let number = || prop_oneof![any::<u64>(), 0..20u64, Just(u64::MAX)];
    (number(), number()).prop_map(EntryId::from).boxed()
}

/// A duration and its milliseconds, rounded up.
pub(crate) fn time() -> impl Strategy<Value = (Duration, u64)> {
    (any::<u32>(), 0..1_000_000u32).prop_map(|(ms, nanos)| {
        let ms = u64::from(ms);
        (Duration::from_millis(ms) + Duration::from_nanos(nanos.into()), ms + u64::from(nanos > 0))
    })
}

pub(crate) fn positive() -> impl Strategy<Value = u64> {
    1..=u64::MAX
}

/// A count that a server can reach.
pub(crate) fn count() -> BoxedStrategy<u64> {
    prop_oneof![0..20u64, 0..=i64::MAX.unsigned_abs(), Just(i64::MAX.unsigned_abs())].boxed()
}
