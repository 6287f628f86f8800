//! Replies similar to those of servers, built from any bytes: they reach deeper into the decoders
//! than random bytes.

/// The bytes that decide; zeros when they are used up, for which every choice is the simplest one.
#[derive(Debug)]
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *byte
    }

    fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    fn number(&mut self) -> u64 {
        let len = usize::from(self.below(9));
        self.bytes(len).iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }

    /// Returns `len` bytes, with zeros after the last.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        let mut bytes = taken.to_vec();
        bytes.resize(len, 0);
        bytes
    }
}

/// Returns one reply, of a shape that some command returns.
pub fn reply(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match source.below(8) {
        0 | 1 => entries(source, &mut out),
        2 | 3 => streams(source, &mut out),
        4 => {
            header(&mut out, b'*', 4);
            integer(source, &mut out);
            id(source, &mut out);
            id(source, &mut out);
            list(source, &mut out, |source, out| {
                header(out, b'*', 2);
                string(source, out);
                integer(source, out);
            });
        }
        5 => list(source, &mut out, |source, out| {
            header(out, b'*', 4);
            id(source, out);
            string(source, out);
            integer(source, out);
            integer(source, out);
        }),
        6 => {
            let parts = 2 + source.below(3);
            header(&mut out, b'*', parts);
            id(source, &mut out);
            entries(source, &mut out);
            for _ in 2..parts {
                list(source, &mut out, id);
            }
        }
        _ => match source.below(6) {
            0 => named(source, &mut out, &STREAM),
            1 => named(source, &mut out, &FULL),
            2 => list(source, &mut out, |source, out| named(source, out, &GROUP)),
            3 => list(source, &mut out, |source, out| named(source, out, &CONSUMER)),
            4 => list(source, &mut out, |source, out| named(source, out, &SHARD)),
            _ => any(source, &mut out, 3),
        },
    }
    out
}

/// A field: its name, and the function that writes its value.
type Field = (&'static str, fn(&mut Source<'_>, &mut Vec<u8>));

const STREAM: [Field; 10] = [
    ("length", integer),
    ("radix-tree-keys", integer),
    ("radix-tree-nodes", integer),
    ("last-generated-id", id),
    ("max-deleted-entry-id", id),
    ("idmp-duration", integer),
    ("groups", integer),
    ("first-entry", entry),
    ("last-entry", entry),
    ("later", string),
];

const FULL: [Field; 6] = [
    ("length", integer),
    ("radix-tree-keys", integer),
    ("radix-tree-nodes", integer),
    ("last-generated-id", id),
    ("entries", entries),
    ("groups", |source, out| list(source, out, |source, out| named(source, out, &GROUP))),
];

const GROUP: [Field; 7] = [
    ("name", string),
    ("last-delivered-id", id),
    ("entries-read", integer),
    ("lag", integer),
    ("pel-count", integer),
    ("pending", |source, out| list(source, out, pending)),
    ("consumers", |source, out| list(source, out, |source, out| named(source, out, &CONSUMER))),
];

const CONSUMER: [Field; 7] = [
    ("name", string),
    ("seen-time", integer),
    ("active-time", integer),
    ("idle", integer),
    ("inactive", integer),
    ("pel-count", integer),
    ("pending", |source, out| list(source, out, pending)),
];

const SHARD: [Field; 3] = [
    ("slots", |source, out| list(source, out, integer)),
    ("nodes", |source, out| list(source, out, |source, out| named(source, out, &NODE))),
    ("later", string),
];

const NODE: [Field; 7] = [
    ("id", string),
    ("port", integer),
    ("ip", string),
    ("endpoint", string),
    ("role", string),
    ("replication-offset", integer),
    ("health", string),
];

/// Writes a map of approximately these fields.
fn named(source: &mut Source<'_>, out: &mut Vec<u8>, fields: &[Field]) {
    let n = u8::try_from(fields.len()).expect("a few fields");
    let (map, wrong) = (source.below(2) == 0, source.below(3 * n));
    header(out, if map { b'%' } else { b'*' }, if map { n } else { 2 * n });
    for (place, (name, value)) in (0..).zip(fields) {
        bulk(out, name.as_bytes());
        if place == wrong { any(source, out, 1) } else { value(source, out) }
    }
}

fn pending(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let parts = 3 + source.below(2);
    header(out, b'*', parts);
    id(source, out);
    (3..parts).for_each(|_| string(source, out));
    integer(source, out);
    integer(source, out);
}

fn header(out: &mut Vec<u8>, kind: u8, n: impl std::fmt::Display) {
    out.push(kind);
    out.extend_from_slice(n.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn list(source: &mut Source<'_>, out: &mut Vec<u8>, value: fn(&mut Source<'_>, &mut Vec<u8>)) {
    let len = source.below(7);
    header(out, b'*', len);
    (0..len).for_each(|_| value(source, out));
}

fn streams(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let (map, len) = (source.below(2) == 0, source.below(4));
    header(out, if map { b'%' } else { b'*' }, len);
    for _ in 0..len {
        if !map {
            header(out, b'*', 2);
        }
        string(source, out);
        entries(source, out);
    }
}

fn entries(source: &mut Source<'_>, out: &mut Vec<u8>) {
    list(source, out, entry);
}

fn entry(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let parts = match source.below(32) {
        0..20 => 2,
        20..24 => 3,
        24..28 => 4,
        28..30 => 5,
        30 => return out.extend_from_slice(b"*-1\r\n"),
        _ => return any(source, out, 2),
    };
    header(out, b'*', parts);
    id(source, out);
    fields(source, out);
    if parts >= 4 {
        integer(source, out);
        integer(source, out);
    }
    (0..parts % 2).for_each(|_| any(source, out, 1));
}

fn fields(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let len = source.below(12);
    match source.below(16) {
        0..13 => header(out, b'*', 2 * len),
        13 => header(out, b'%', len),
        14 => return out.extend_from_slice(b"$-1\r\n"),
        _ => return any(source, out, 1),
    }
    (0..2 * len).for_each(|_| string(source, out));
}

fn id(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let ms = match source.below(8) {
        0..4 => 1_700_000_000_000 + source.number() % 100_000,
        4..7 => source.number(),
        _ => return any(source, out, 0),
    };
    bulk(out, format!("{ms}-{}", source.number() % 300).as_bytes());
}

fn string(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let len = usize::from(source.below(14));
    match source.below(32) {
        0..22 => bulk(out, &source.bytes(len)),
        22..25 => bulk(out, &source.bytes(len).repeat(20)),
        25..28 => header(out, b'+', source.number()),
        28 => {
            header(out, b'|', 0);
            bulk(out, &source.bytes(len));
        }
        29 => {
            header(out, b'|', 1);
            any(source, out, 0);
            bulk(out, b"value");
            bulk(out, &source.bytes(len));
        }
        _ => any(source, out, 1),
    }
}

fn integer(source: &mut Source<'_>, out: &mut Vec<u8>) {
    match source.below(8) {
        0..4 => header(out, b':', source.number() >> 1),
        4..6 => bulk(out, source.number().to_string().as_bytes()),
        6 => header(out, b':', -i128::from(source.number() >> 1)),
        _ => any(source, out, 1),
    }
}

fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    header(out, b'$', text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Writes a value of any type, nested up to this depth.
fn any(source: &mut Source<'_>, out: &mut Vec<u8>, depth: u8) {
    let len = source.below(4);
    match source.below(if depth == 0 { 10 } else { 17 }) {
        0 => out.extend_from_slice(b"_\r\n"),
        1 => out.extend_from_slice(b"$-1\r\n"),
        2 => header(out, b'+', "OK"),
        3 => header(out, b'-', "ERR no"),
        4 => header(out, b':', source.number() >> 1),
        5 => header(out, b',', "-1.5e3"),
        6 => header(out, b'#', "t"),
        7 => header(out, b'(', "-12345678901234567890"),
        8 => out.extend_from_slice(b"=6\r\ntxt:ab\r\n"),
        9 => out.extend_from_slice(b"!3\r\na\r\n\r\n"),
        10 => out.extend_from_slice(b"$?\r\n;1\r\na\r\n;0\r\n"),
        kind @ 11..=13 => {
            header(out, if kind == 12 { b'~' } else { b'*' }, len);
            (0..len).for_each(|_| any(source, out, depth - 1));
        }
        14 => {
            header(out, b'%', len);
            (0..2 * len).for_each(|_| any(source, out, depth - 1));
        }
        15 => {
            header(out, b'|', len);
            (0..=2 * len).for_each(|_| any(source, out, depth - 1));
        }
        _ => {
            header(out, b'*', "?");
            (0..len).for_each(|_| any(source, out, depth - 1));
            out.extend_from_slice(b".\r\n");
        }
    }
}
