//! The end of a frame, its contents, and invalid frames.

use super::fuzz::scanner::{agrees, small};
use super::trees::{frame, value, ways, written};
use bourn::resp::{Frame, Limits, ProtocolError, Scanner, Token, Value};
use proptest::prelude::*;

fn scan(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    Scanner::new(Limits::default()).scan(bytes)
}

/// Scans with one more byte per call.
fn byte_by_byte(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let mut scanner = Scanner::new(Limits::default());
    let found = (0..=bytes.len()).find_map(|len| scanner.scan(bytes.split_at(len).0).transpose());
    found.transpose()
}

fn parse(bytes: impl Into<bytes::Bytes>) -> Frame {
    Frame::parse(bytes.into(), Limits::default()).expect("a frame")
}

proptest! {
    #[test]
    fn scanner_finds_the_exact_frame_length(
        value in frame(), ways in ways(), behind in prop::collection::vec(any::<u8>(), 0..9),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = written(&value, &ways);
        let more = [bytes.as_slice(), &behind].concat();
        prop_assert_eq!(scan(&bytes), Ok(Some(bytes.len())));
        prop_assert_eq!(scan(&more), Ok(Some(bytes.len())));
        prop_assert_eq!(byte_by_byte(&more), Ok(Some(bytes.len())));
        prop_assert_eq!(scan(&bytes[..cut.index(bytes.len())]), Ok(None));
    }

    #[test]
    fn every_encoding_of_a_value_parses_to_it(value in frame(), ways in ways()) {
        let bytes = written(&value, &ways);
        let read = Value::parse(&bytes, Limits::default());
        prop_assert_eq!(read, Ok(Some((value.clone(), bytes.len()))));
        let frame = parse(bytes);
        prop_assert_eq!(Value::from(&frame), value.clone());
        let mut usual = Vec::new();
        value.write(&mut usual);
        prop_assert_eq!(usual, written(&value, &[]));
    }

    #[test]
    fn consecutive_frames_are_found_in_any_chunks(
        values in prop::collection::vec((frame(), ways()), 1..5),
        sizes in prop::collection::vec(1..300usize, 1..12),
    ) {
        let frames: Vec<_> = values.iter().map(|(value, ways)| written(value, ways)).collect();
        let bytes = frames.concat();
        agrees(&bytes, Limits::default(), &sizes);
        let mut scanner = Scanner::new(Limits::default());
        let mut rest = bytes.as_slice();
        for frame in &frames {
            prop_assert_eq!(scanner.scan(rest), Ok(Some(frame.len())));
            rest = &rest[frame.len()..];
        }
        prop_assert_eq!(scanner.scan(rest), Ok(None));
    }

    #[test]
    fn corrupted_bytes_match_the_reference_parser(
        value in frame(), ways in ways(), reply_bytes in 0..3000usize, line_bytes in 0..60usize,
        depth in 0..8usize, few in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..5),
        sizes in prop::collection::vec(1..60usize, 1..6),
    ) {
        let mut bytes = written(&value, &ways);
        for (at, change, byte) in changes {
            let at = at.index(bytes.len() + 1);
            match (change, bytes.get_mut(at)) {
                (0, Some(place)) => *place = byte,
                (1, Some(_)) => drop(bytes.remove(at)),
                (2, _) => bytes.truncate(at),
                _ => bytes.insert(at, b"0123456789\r\n$*%|~>?;.-_"[usize::from(byte) % 23]),
            }
        }
        let limits = if few { small(reply_bytes, line_bytes, depth) } else { Limits::default() };
        agrees(&bytes, limits, &sizes);
    }

    #[test]
    fn limits_match_the_reference_parser(
        lengths in prop::collection::vec(1..12usize, 1..40), nested in any::<bool>(), less in 0..99usize,
    ) {
        // Short strings, for which the scanner has a faster path.
        let bulks = lengths.iter().map(|len| format!("${len}\r\n{}\r\n", "a".repeat(*len)));
        let values = bulks.map(|bulk| if nested { format!("*1\r\n{bulk}") } else { bulk });
        let bytes = format!("*{}\r\n{}", lengths.len(), values.collect::<String>());
        let elements = lengths.len() * if nested { 2 } else { 1 };
        let size = bytes.len() + 32 * elements;
        for reply_bytes in [size - less.min(size), size - 3, size - 2, size - 1, size, size + 1] {
            agrees(bytes.as_bytes(), small(reply_bytes, 9, 2), &[]);
        }
        prop_assert!(Frame::parse(bytes, small(size, 9, 2)).is_ok());
    }

    #[test]
    fn elements_are_independent_frames(
        list in prop::collection::vec((value(), ways()), 0..12), kind in "[*~>]",
    ) {
        let frames: Vec<_> = list.iter().map(|(value, ways)| written(value, ways)).collect();
        let bytes = [format!("{kind}{}\r\n", list.len()).as_bytes(), &frames.concat()].concat();
        let elements = parse(bytes).elements().unwrap().unwrap();
        let elements: Vec<_> = elements.iter().map(Frame::as_bytes).collect();
        prop_assert_eq!(elements, frames);
    }
}

#[test]
fn invalid_resp_is_refused_with_a_specific_error() {
    use ProtocolError::*;
    let rows: [(&str, ProtocolError); 51] = [
        ("@1\r\n", UnknownType { byte: b'@' }),
        ("HTTP/1.1 400\r\n", UnknownType { byte: b'H' }),
        ("\r\n", UnknownType { byte: b'\r' }),
        ("*1\r\nx", UnknownType { byte: b'x' }),
        ("$\r\n", Length),
        ("$x", Length),
        ("$-2", Length),
        ("$-1x", Length),
        ("$+1", Length),
        ("$ 1", Length),
        ("$1 ", Length),
        ("$1\n", Length),
        ("$1\rx", Length),
        ("*-2", Length),
        ("*1x", Length),
        ("=-1\r\n", Length),
        ("!-1\r\n", Length),
        ("=?\r\n", Length),
        ("!?\r\n", Length),
        ("%-1\r\n", Length),
        ("~-1\r\n", Length),
        (">-1\r\n", Length),
        ("|-1\r\n", Length),
        (">?\r\n", Length),
        ("|?\r\n", Length),
        ("$?\r\n;-1\r\n", Length),
        ("$?\r\n;?\r\n", Length),
        (":\r\n", Number),
        (":1x\r\n", Number),
        (":- 1\r\n", Number),
        (":9223372036854775808\r\n", Number),
        (":-9223372036854775809\r\n", Number),
        (",1.2.3\r\n", Number),
        (",0x1\r\n", Number),
        ("(\r\n", Number),
        ("(1a\r\n", Number),
        ("#T\r\n", Boolean),
        ("#\r\n", Boolean),
        ("_ \r\n", Null),
        ("=3\r\n", Verbatim),
        ("=5\r\ntxt-", Verbatim),
        ("+a\n", Line),
        ("-a\rb", Line),
        ("$1\r\nabc", Body),
        ("$1\r\na\rb", Body),
        (";1\r\na\r\n", Streamed),
        ("$?\r\n:1\r\n", Streamed),
        (".\r\n", Streamed),
        ("*1\r\n.\r\n", Streamed),
        ("%?\r\n:1\r\n.\r\n", Streamed),
        ("*1\r\n>1\r\n", Push),
    ];
    for (bytes, error) in rows {
        assert_eq!(scan(bytes.as_bytes()), Err(error.clone()), "{bytes:?}");
        let slow = Value::parse(bytes.as_bytes(), Limits::default());
        assert_eq!(slow, Err(error.clone()), "{bytes:?}");
        // Input that arrives byte by byte may be refused some bytes later, with the same error.
        assert_eq!(byte_by_byte(format!("{bytes}{}", "\0".repeat(32)).as_bytes()), Err(error));
    }
}

#[test]
fn scanner_error_is_final() {
    let mut scanner = Scanner::new(Limits::default());
    assert_eq!(scanner.scan(b"+OK\r\n"), Ok(Some(5)), "the complete frame before it is found");
    assert_eq!(scanner.scan(b"$2"), Ok(None));
    for bytes in [b"$2xy".as_slice(), b"$2\r\nab\r\n", b"+OK\r\n", b""] {
        assert_eq!(scanner.scan(bytes), Err(ProtocolError::Length));
    }
    assert_eq!(scanner.clone().scan(b"+OK\r\n"), Err(ProtocolError::Length));
}

#[test]
fn push_is_valid_only_between_replies() {
    let rows = [
        (">0\r\n", Ok(Some(4))),
        (">2\r\n+message\r\n*1\r\n:1\r\n", Ok(Some(22))),
        ("*1\r\n>0\r\n", Err(ProtocolError::Push)),
        (">1\r\n>0\r\n", Err(ProtocolError::Push)),
        ("%1\r\n:1\r\n>0\r\n", Err(ProtocolError::Push)),
        ("*?\r\n>0\r\n", Err(ProtocolError::Push)),
        // The push would be the value that the attribute describes.
        ("|0\r\n>0\r\n", Err(ProtocolError::Push)),
    ];
    for (bytes, expected) in rows {
        assert_eq!(scan(bytes.as_bytes()), expected, "{bytes:?}");
    }
    assert!(parse(">1\r\n+a\r\n").is_push());
    assert!(!parse("*1\r\n+a\r\n").is_push());
}

#[test]
fn frame_has_all_of_its_bytes() {
    for bytes in ["", "+O", "+OK\r\n:", "$1\r\na\r\n\r\n"] {
        let frame = Frame::parse(bytes, Limits::default());
        assert_eq!(frame, Err(ProtocolError::Length), "{bytes:?}");
    }
    assert_eq!(Frame::parse("@", Limits::default()).unwrap_err(), scan(b"@").unwrap_err());
    // Around the length up to which a frame is stored inline.
    for len in 0..100 {
        let bytes = format!("+{}\r\n", "a".repeat(len));
        let frame = parse(bytes.clone());
        assert_eq!(frame.as_bytes(), bytes.as_bytes());
        assert_eq!(frame, parse([bytes.as_bytes()].concat()), "equality ignores the storage");
        assert_ne!(frame, parse(format!("+{}\r\n", "b".repeat(len + 1))));
        assert_eq!(frame.into_bytes(), bytes.as_bytes());
    }
}

#[test]
fn frame_kind_is_read_after_its_attributes() {
    const NO: (bool, Option<&str>, Option<usize>) = (false, None, None);
    let rows = [
        ("_\r\n", (true, None, None)),
        ("$-1\r\n", (true, None, None)),
        ("*-1\r\n", (true, None, None)),
        ("|1\r\n+a\r\n*2\r\n_\r\n:1\r\n|0\r\n_\r\n", (true, None, None)),
        ("-ERR no\r\n", (false, Some("ERR no"), None)),
        ("!8\r\nERR a\r\nb\r\n", (false, Some("ERR a\r\nb"), None)),
        ("|1\r\n+a\r\n-b\r\n-ERR no\r\n", (false, Some("ERR no"), None)),
        ("|0\r\n|1\r\n+a\r\n-b\r\n!2\r\nno\r\n", (false, Some("no"), None)),
        ("|1\r\n+a\r\n-b\r\n+OK\r\n", NO),
        ("*0\r\n", (false, None, Some(0))),
        ("~1\r\n-ERR\r\n", (false, None, Some(1))),
        ("|1\r\n+a\r\n+b\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n_\r\n", (false, None, Some(2))),
        ("%1\r\n:1\r\n:1\r\n", NO),
        ("*?\r\n.\r\n", NO),
        ("$4\r\n_\r\n-\r\n", NO),
    ];
    for (bytes, (null, error, elements)) in rows {
        let frame = parse(bytes);
        assert_eq!(frame.is_null(), null, "{bytes:?}");
        assert_eq!(frame.error(), error.map(str::as_bytes), "{bytes:?}");
        let list = frame.elements();
        assert_eq!(list.is_err(), !null && elements.is_none(), "{bytes:?}");
        assert_eq!(list.ok().flatten().map(|list| list.len()), elements, "{bytes:?}");
    }
}

#[test]
fn nan_is_parsed() {
    for bytes in [",nan\r\n", ",-nan\r\n"] {
        let frame = parse(bytes);
        let Some(Token::Double(n)) = frame.cursor().token() else { panic!("{frame:?}") };
        assert!(n.is_nan());
        let Value::Double(n) = Value::from(&frame) else { panic!("{frame:?}") };
        assert!(n.is_nan());
    }
}
