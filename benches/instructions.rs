//! Work to be counted in instructions, independent of the clock. `scripts/instructions` runs it
//! under callgrind.
//!
//! `instructions WORK SHAPE TIMES` does the work `TIMES` times on a reply of that shape. The
//! difference of two runs is the cost of the work.

mod headers;
mod served;
mod shapes;

use bourn::resp::{Frame, Limits, Scanner};
use bourn::{Command, XRange, XReadGroup};
use bytes::Bytes;
use std::hint::black_box;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [work, shape, times] = args.as_slice() else {
        // `cargo test --benches` runs it without these arguments, and with a flag of the harness.
        return;
    };
    let times = times.parse().expect("a number");
    match (work.as_str(), shape.as_str()) {
        ("xadd", tasks) => return xadd(tasks.parse().expect("a number"), times),
        ("drain", _) => return drain(times),
        _ => {}
    }
    let reply = Bytes::from(reply(shape));
    for _ in 0..times {
        let reply = black_box(&reply);
        match work.as_str() {
            "scan" => scan(reply),
            "bytewise" => bytewise(reply),
            "index" => index(reply),
            "decode" => decode(reply),
            "headers" => headers::walk(reply),
            _ => panic!("no such work: {work}"),
        }
    }
}

/// Runs `tasks` tasks that each add entries; once before, so that the steady state is counted.
fn xadd(tasks: usize, times: usize) {
    served::run(async {
        let client = served::client(Vec::new()).await;
        served::xadd(&client, tasks, 1 + times).await;
    });
}

/// Batches of 100 entries of 1 × 16 bytes.
fn drain(times: usize) {
    served::run(async {
        let client = served::client(batch()).await;
        let mut reader = client.reader().await.expect("it answers");
        black_box(served::drain(&client, &mut reader, 1 + times).await);
    });
}

fn batch() -> Vec<u8> {
    shapes::streams(&["orders"], &shapes::even(100, 1, 16), true)
}

fn reply(shape: &str) -> Vec<u8> {
    let four = ["stream-1", "stream-2", "stream-3", "stream-4"];
    match shape {
        "small" => {
            // Captured: 1,000 entries of two fields of a few bytes.
            let root = env!("CARGO_MANIFEST_DIR");
            let path = "tests/fixtures/replies/redis-8.10.2/resp3/xrange_1000.resp";
            std::fs::read(format!("{root}/{path}")).expect("the fixture is there")
        }
        "1000x1x16" => shapes::range(&shapes::even(1000, 1, 16)),
        "1000x5x32" => shapes::range(&shapes::even(1000, 5, 32)),
        "uneven" => shapes::range(&shapes::uneven(1000, 5, 32)),
        "100x1x4096" => shapes::range(&shapes::even(100, 1, 4096)),
        "4x250x3x24" => shapes::streams(&four, &shapes::even(250, 3, 24), true),
        _ => panic!("no such shape: {shape}"),
    }
}

fn scan(reply: &[u8]) {
    let mut scanner = Scanner::new(Limits::default());
    assert_eq!(scanner.scan(reply), Ok(Some(reply.len())));
}

fn bytewise(reply: &[u8]) {
    let mut scanner = Scanner::new(Limits::default());
    for end in 1..reply.len() {
        assert!(matches!(scanner.scan(reply.get(..end).unwrap_or_default()), Ok(None)));
    }
    assert_eq!(scanner.scan(reply), Ok(Some(reply.len())));
}

/// Indexes a reply that was scanned by the connection, and touches every field.
fn index(reply: &Bytes) {
    let frame = Frame::parse(reply.clone(), Limits::default()).expect("a frame");
    touch(frame);
}

/// Copies, scans and indexes a reply, and touches every field.
fn decode(reply: &[u8]) {
    touch(Frame::parse(Bytes::copy_from_slice(reply), Limits::default()).expect("a frame"));
}

fn touch(frame: Frame) {
    let sum = if frame.as_bytes().starts_with(b"%") {
        let streams = XReadGroup::reply(frame).expect("streams");
        streams
            .iter()
            .flat_map(|entry| entry.fields())
            .map(|(f, v)| f.len() + v.len())
            .sum::<usize>()
    } else {
        let entries = XRange::reply(frame).expect("entries");
        entries.iter().flat_map(|entry| entry.fields()).map(|(f, v)| f.len() + v.len()).sum()
    };
    black_box(sum);
}
