//! Work to be counted in instructions, which do not depend on the clock. `scripts/instructions` runs it under callgrind.
//!
//! `instructions CASE TIMES` does the work of a case so many times; the difference of two runs is the cost of the work.

use bourn::resp::{Frame, Limits, Scanner};
use bourn::{Command, XRange};
use bytes::Bytes;
use std::hint::black_box;

/// A captured reply: 1,000 entries of two fields.
const REPLY: &str = "tests/fixtures/replies/redis-8.10.2/resp3/xrange_1000.resp";

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(case), Some(times)) = (args.next(), args.next().and_then(|n| n.parse().ok())) else {
        // `cargo test --benches` runs it without arguments, with a flag of the harness that it does not have.
        return;
    };
    let root = env!("CARGO_MANIFEST_DIR");
    let reply = std::fs::read(format!("{root}/{REPLY}")).expect("the fixture is there");
    for _ in 0..times {
        match case.as_str() {
            "scan_whole" => scan_whole(black_box(&reply)),
            "scan_bytewise" => scan_bytewise(black_box(&reply)),
            "decode" => decode(black_box(&reply)),
            "headers" => headers(black_box(&reply)),
            _ => panic!("no such case: {case}"),
        }
    }
}

fn scan_whole(reply: &[u8]) {
    let mut scanner = Scanner::new(Limits::default());
    assert_eq!(scanner.scan(reply), Ok(Some(reply.len())));
}

fn scan_bytewise(reply: &[u8]) {
    let mut scanner = Scanner::new(Limits::default());
    for end in 1..reply.len() {
        assert!(matches!(scanner.scan(reply.get(..end).unwrap_or_default()), Ok(None)));
    }
    assert_eq!(scanner.scan(reply), Ok(Some(reply.len())));
}

/// Scans, indexes, and touches every field.
fn decode(reply: &[u8]) {
    let frame = Frame::parse(Bytes::copy_from_slice(reply), Limits::default()).expect("a frame");
    let entries = XRange::reply(frame).expect("entries");
    let touched = entries.iter().flat_map(|entry| entry.fields());
    black_box(touched.map(|(name, value)| name.len() + value.len()).sum::<usize>());
}

/// The least that any reader of RESP does: looks at each length, and at nothing else.
fn headers(mut rest: &[u8]) {
    let mut values = 0usize;
    while let Some((&kind, tail)) = rest.split_first() {
        let mut n = 0;
        rest = tail;
        while let Some((&digit @ b'0'..=b'9', tail)) = rest.split_first() {
            n = n * 10 + usize::from(digit - b'0');
            rest = tail;
        }
        let body = if kind == b'$' { n + 2 } else { 0 };
        rest = rest.get(2 + body..).unwrap_or_default();
        values += 1;
    }
    black_box(values);
}
