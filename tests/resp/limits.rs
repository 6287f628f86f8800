//! Limits on untrusted input: depth, length, memory, and repeated work per byte.

use super::trees::{frame, ways, written};
use allocation_counter::measure;
use bourn::resp::{Frame, Limits, List, ProtocolError, Scanner, Value};
use proptest::prelude::*;
use std::thread;

/// The memory that an operation may use in addition to its input.
const LITTLE: u64 = 64 << 10;

/// A stack so small that a recursion of a few hundred calls overflows it.
const SMALL_STACK: usize = 64 << 10;

const MILLION: usize = 1_000_000;

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn scan(bytes: &[u8], limits: Limits) -> Result<Option<usize>, ProtocolError> {
    let found = Scanner::new(limits).scan(bytes);
    let slow = Value::parse(bytes, limits).map(|value| value.map(|(_, len)| len));
    assert_eq!(found, slow, "the reference parser agrees");
    found
}

#[test]
fn depth_limit_is_64_levels() {
    let deep = |header: &str, levels: usize, end: &str| {
        [header.repeat(levels).as_bytes(), b"_\r\n", end.repeat(levels).as_bytes()].concat()
    };
    let rows = [
        ("*1\r\n", ""),
        ("~1\r\n", ""),
        ("%1\r\n:1\r\n", ""),
        ("|0\r\n", ""),
        ("|1\r\n:1\r\n:2\r\n", ""),
        ("*?\r\n", ".\r\n"),
        ("%?\r\n:1\r\n", ".\r\n"),
    ];
    for (header, end) in rows {
        let bytes = deep(header, 64, end);
        assert_eq!(scan(&bytes, Limits::default()), Ok(Some(bytes.len())), "{header:?}");
        for levels in [65, 66, 1000] {
            let bytes = deep(header, levels, end);
            let error = Err(ProtocolError::TooDeep { limit: 64 });
            assert_eq!(scan(&bytes, Limits::default()), error, "{header:?} {levels} times");
        }
    }
    // An empty aggregate is a level, too.
    let bytes = ["*1\r\n".repeat(64), "*0\r\n".to_owned()].concat();
    let error = ProtocolError::TooDeep { limit: 64 };
    assert_eq!(scan(bytes.as_bytes(), Limits::default()), Err(error));
}

#[test]
fn million_levels_are_refused_at_once() {
    for header in ["*1\r\n", "|0\r\n", "*?\r\n", "%1\r\n:1\r\n"] {
        let bytes = header.repeat(MILLION);
        let info = measure(|| {
            let error = Err(ProtocolError::TooDeep { limit: 64 });
            assert_eq!(scan(bytes.as_bytes(), Limits::default()), error);
        });
        assert!(info.bytes_max < LITTLE, "{header:?}: {} bytes", info.bytes_max);
    }
}

/// A tree nested this deep, of all types that can hold a value.
fn deep_tree(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, level| match level % 5 {
        0 => Value::Array(List::from(vec![inner])),
        1 => Value::Map(List::from(vec![Value::Integer(1), inner])),
        2 => Value::Set(List::from(vec![inner])),
        3 => Value::Push(List::from(vec![inner])),
        _ => Value::Attribute(List::from(vec![inner])),
    })
}

#[test]
fn value_tree_may_be_deeper_than_the_stack() {
    let thread = thread::Builder::new().stack_size(SMALL_STACK).spawn(|| {
        let tree = deep_tree(MILLION);
        let copy = tree.clone();
        assert!(tree == copy);
        assert!(tree != deep_tree(MILLION - 1));
        assert_eq!(format!("{tree:?}"), copy.to_string());
        assert!(copy.as_list().is_none_or(|list| !format!("{list:?}").is_empty()));
        let mut out = Vec::new();
        tree.write(&mut out);
        assert!(out.len() > 4 * MILLION);
        drop(tree);

        let attributes = (0..MILLION).fold(Value::Integer(7), |value, _| {
            Value::Attribute(List::from(vec![Value::Null, Value::Null, value]))
        });
        assert_eq!(attributes.as_integer(), Some(7));
        assert!(!attributes.is_null());
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn scanner_depth_may_exceed_the_stack() {
    let thread = thread::Builder::new().stack_size(SMALL_STACK).spawn(|| {
        let limits = limits(|limits| limits.depth = MILLION);
        let bytes = ["*1\r\n".repeat(MILLION), "_\r\n".to_owned()].concat();
        let mut scanner = Scanner::new(limits);
        assert_eq!(scanner.scan(bytes.as_bytes()), Ok(Some(bytes.len())));
        let frame = Frame::parse(bytes, limits).unwrap();
        assert!(!frame.is_null());
        assert_eq!(frame.elements().unwrap().unwrap().len(), 1);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn line_limit_is_64_kib() {
    let error = Err(ProtocolError::LineTooLong { limit: 64 << 10 });
    for kind in ["+", "-", "("] {
        let line = |len| [kind, &"1".repeat(len), "\r\n"].concat().into_bytes();
        let (longest, longer) = (line(64 << 10), line((64 << 10) + 1));
        assert_eq!(scan(&longest, Limits::default()), Ok(Some(longest.len())), "{kind}");
        assert_eq!(scan(&longer, Limits::default()), error, "{kind}");
        // The error does not need the line's end.
        let (endless, last) = (&longer[..longer.len() - 2], longest.len() - 2);
        assert_eq!(scan(endless, Limits::default()), error, "{kind}");
        assert_eq!(scan(&endless[..last], Limits::default()), Ok(None), "{kind}");
        for size in [1, 1000] {
            let mut scanner = Scanner::new(Limits::default());
            let ends = (0..=endless.len()).step_by(size).chain([endless.len()]);
            let found = ends.map(|end| scanner.scan(&endless[..end])).find(|r| *r != Ok(None));
            assert_eq!(found, Some(error.clone()), "{kind} in pieces of {size}");
        }
    }
}

#[test]
fn line_is_scanned_once_in_any_chunks() {
    // Bytes that were passed before are changed: the scanner must not look at them again.
    let line = [b"+".as_slice(), &[b'a'; 60_000], b"\r\n"].concat();
    let mut scanner = Scanner::new(Limits::default());
    let mut found = Ok(None);
    for end in 1..=line.len() {
        let mut come = line[..end].to_vec();
        let old = end.saturating_sub(3);
        if old > 1 {
            come[1..old].fill(b'\n');
        }
        found = scanner.scan(&come);
    }
    assert_eq!(found, Ok(Some(line.len())));
}

proptest! {
    #[test]
    fn scanned_bytes_are_not_scanned_again(
        value in frame(), ways in ways(), sizes in prop::collection::vec(1..99usize, 1..9),
    ) {
        let bytes = written(&value, &ways);
        let mut scanner = Scanner::new(Limits::default());
        let mut sizes = sizes.into_iter().cycle();
        let mut end = 0;
        let found = loop {
            end = bytes.len().min(end + sizes.next().unwrap());
            let mut come = bytes[..end].to_vec();
            let known = scanner.position().min(end);
            come[..known].fill(b'@');
            let found = scanner.scan(&come);
            if found != Ok(None) || end == bytes.len() {
                break found;
            }
            prop_assert!(scanner.need() > end, "need exceeds the bytes scanned");
        };
        prop_assert_eq!(found, Ok(Some(bytes.len())));
    }
}

#[test]
fn bulk_body_is_not_scanned() {
    let header = b"$100000\r\n";
    let mut scanner = Scanner::new(Limits::default());
    assert_eq!(scanner.scan(header), Ok(None));
    assert_eq!(scanner.need(), header.len() + 100_000 + 2);
    let mut bytes = header.to_vec();
    bytes.resize(header.len() + 100_001, b'@');
    assert_eq!(scanner.scan(&bytes), Ok(None));
    bytes.truncate(header.len() + 100_000);
    bytes.extend_from_slice(b"\r\n");
    assert_eq!(scanner.scan(&bytes), Ok(Some(bytes.len())));
}

#[test]
fn declared_length_alone_allocates_nothing() {
    let large = |bytes: &str| scan(bytes.as_bytes(), Limits::default());
    let too_large = Err(ProtocolError::TooLarge { limit: 512 << 20 });
    for n in [1u64 << 31, u64::from(u32::MAX), 1 << 62, i64::MAX as u64, 9_999_999_999_999_999_999]
    {
        for kind in ["$", "=", "!", "*", "~", "%", "|", ">", "$?\r\n;"] {
            let header = format!("{kind}{n}\r\n");
            let info = measure(|| assert_eq!(large(&header), too_large, "{header:?}"));
            assert!(info.bytes_max < LITTLE, "{header:?}: {} bytes", info.bytes_max);
        }
    }
    for n in ["18446744073709551615", "18446744073709551616", "00000000000000000001"] {
        for kind in ["$", "*", "%"] {
            let header = format!("{kind}{n}\r\n");
            assert_eq!(large(&header), Err(ProtocolError::Length), "{header:?}");
        }
    }
}

#[test]
fn declared_length_allocates_nothing_without_a_limit() {
    let unlimited = limits(|limits| limits.reply_bytes = usize::MAX);
    for header in
        ["*2147483648\r\n", "%2147483648\r\n", "|2147483648\r\n", "$9223372036854775807\r\n"]
    {
        let mut whole = [header.as_bytes(), &b":1\r\n".repeat(1000)].concat();
        whole.push(b'$');
        let info = measure(|| assert_eq!(scan(header.as_bytes(), unlimited), Ok(None)));
        assert!(info.bytes_max < LITTLE, "{header:?}: {} bytes", info.bytes_max);
        let info = measure(|| assert_eq!(scan(&whole, unlimited), Ok(None)));
        assert!(info.bytes_max < 2 * LITTLE, "{header:?} and values: {} bytes", info.bytes_max);
    }
}

#[test]
fn reply_size_is_its_bytes_plus_32_per_element() {
    let limits = limits(|limits| limits.reply_bytes = 1000);
    let too_large = Err(ProtocolError::TooLarge { limit: 1000 });
    let bulk = |len: usize| format!("${len}\r\n{}\r\n", "a".repeat(len));
    // Rows: the size limit, and the first body length that exceeds it with headers and line ends.
    let rows: [(&str, usize); 6] = [
        ("", 1000 - 6 + 1),
        ("*1\r\n", 1000 - 32 - 4 - 6 + 1),
        ("*2\r\n:1\r\n", 1000 - 64 - 8 - 6 + 1),
        ("%1\r\n:1\r\n", 1000 - 64 - 8 - 6 + 1),
        ("|1\r\n:1\r\n:1\r\n", 1000 - 96 - 12 - 6 + 1),
        ("*2\r\n*1\r\n:1\r\n", 1000 - 96 - 12 - 6 + 1),
    ];
    for (before, len) in rows {
        let whole = [before, &bulk(len - 1)].concat();
        assert_eq!(scan(whole.as_bytes(), limits), Ok(Some(whole.len())), "{before:?}");
        // The error does not need the body.
        let header = format!("{before}${len}\r\n");
        assert_eq!(scan(header.as_bytes(), limits), too_large, "{header:?}");
    }
    for (values, fits) in [(28, true), (29, false)] {
        // 32 and 3 for each element, and the header.
        let whole = [format!("*{values}\r\n"), "_\r\n".repeat(values)].concat();
        assert_eq!(scan(whole.as_bytes(), limits).is_ok(), fits, "{values} values");
        let whole = ["*?\r\n", &"_\r\n".repeat(values), ".\r\n"].concat();
        assert_eq!(scan(whole.as_bytes(), limits).is_ok(), fits, "{values} streamed values");
    }
    // The next reply starts at zero.
    let mut scanner = Scanner::new(limits);
    let whole = ["*20\r\n", &"_\r\n".repeat(20)].concat();
    for _ in 0..10 {
        assert_eq!(scanner.scan(whole.as_bytes()), Ok(Some(whole.len())));
    }
}
