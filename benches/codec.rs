//! Measures the codec by time, without a server: `cargo bench --bench codec`.
//!
//! Each reply is that of a server (`tests/server/shapes.rs` checks the shapes). The limits are
//! measured too: a copy of the bytes, and a bare walk over the headers. Machines differ: only
//! ratios within one run are meaningful.

mod headers;
mod shapes;

use bourn::command::encode;
use bourn::resp::{Frame, Limits, Scanner};
use bourn::{Command, EntryId, Streams, XAdd, XRange, XReadGroup};
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// A reply, and the number of its entries.
struct Reply {
    shape: &'static str,
    entries: usize,
    bytes: Bytes,
}

fn replies() -> Vec<Reply> {
    let range = |shape, entries: Vec<shapes::Fields>| Reply {
        shape,
        entries: entries.len(),
        bytes: shapes::range(&entries).into(),
    };
    let streams = |shape, resp3| Reply {
        shape,
        entries: 1000,
        bytes: shapes::streams(&["a", "b", "c", "d"], &shapes::even(250, 3, 24), resp3).into(),
    };
    vec![
        range("1x1x16", shapes::even(1, 1, 16)),
        range("10x5xmixed", shapes::uneven(10, 5, 32)),
        range("1000x1x16", shapes::even(1000, 1, 16)),
        range("1000x5x32", shapes::even(1000, 5, 32)),
        range("1000x5xmixed", shapes::uneven(1000, 5, 32)),
        range("100x1x4096", shapes::even(100, 1, 4096)),
        range("100000x5x32", shapes::even(100_000, 5, 32)),
        streams("4x250x3x24 resp3", true),
        streams("4x250x3x24 resp2", false),
    ]
}

fn decoding(criterion: &mut Criterion) {
    for Reply { shape, entries, bytes } in replies() {
        for (unit, of) in [
            ("entries", Throughput::Elements(entries as u64)),
            ("bytes", Throughput::Bytes(bytes.len() as u64)),
        ] {
            let mut group = criterion.benchmark_group(format!("codec/{shape}/{unit}"));
            group.throughput(of);
            group.bench_function("memcpy", |b| b.iter(|| black_box(&bytes).to_vec()));
            group.bench_function("headers", |b| b.iter(|| headers::walk(black_box(&bytes))));
            group.bench_function("scan", |b| {
                b.iter(|| Scanner::new(Limits::default()).scan(black_box(&bytes)));
            });
            group.bench_function("decode", |b| b.iter(|| decode(black_box(&bytes))));
            group.finish();
        }
    }
}

/// Scans and indexes a reply, and touches every field.
fn decode(bytes: &Bytes) -> usize {
    let frame = Frame::parse(bytes.clone(), Limits::default()).expect("a frame");
    let touched =
        |fields: bourn::entry::Fields<'_>| fields.map(|(f, v)| f.len() + v.len()).sum::<usize>();
    let first = frame.as_bytes().split_at_checked(7).map(|(head, _)| head);
    if bytes.starts_with(b"%") || first == Some(b"*4\r\n*2\r") {
        let streams: Streams = XReadGroup::reply(frame).expect("streams");
        return streams.iter().map(|entry| touched(entry.fields())).sum();
    }
    let entries = XRange::reply(frame).expect("entries");
    entries.iter().map(|entry| touched(entry.fields())).sum()
}

fn ids(criterion: &mut Criterion) {
    let id = EntryId::new(1_700_000_000_000, 7);
    let text = id.to_string();
    criterion.bench_function("id/parse", |b| b.iter(|| EntryId::parse(black_box(text.as_bytes()))));
    criterion.bench_function("id/print", |b| b.iter(|| black_box(id).to_string()));
}

fn encoding(criterion: &mut Criterion) {
    for (shape, entries) in [("1x16", shapes::even(1, 1, 16)), ("5x64", shapes::even(1, 5, 64))] {
        let fields = entries.into_iter().next().unwrap_or_default();
        criterion.bench_function(&format!("encode/xadd/{shape}"), |b| {
            b.iter(|| {
                let fields = fields.iter().map(|(name, value)| (name, value));
                encode(&XAdd::new(black_box("orders")).fields(fields))
            });
        });
    }
}

fn main() {
    let criterion = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    decoding(&mut criterion);
    ids(&mut criterion);
    encoding(&mut criterion);
    criterion.final_summary();
}
