//! Replies of the measured shapes, as a server writes them. `tests/server/shapes.rs` checks this.

/// One entry's fields: names and values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Returns the id of an entry: as if made by a clock, three per millisecond.
pub(crate) fn id(n: usize) -> (u64, u64) {
    let n = n as u64;
    (1_700_000_000_000 + n / 3, n % 3)
}

/// Returns entries with this number of fields, and values of this number of bytes.
pub(crate) fn even(entries: usize, fields: usize, bytes: usize) -> Vec<Fields> {
    (0..entries)
        .map(|n| (0..fields).map(|f| (name(f), value(n * fields + f, bytes))).collect())
        .collect()
}

/// As [`even`], with values between half and one and a half times that length, varying between
/// entries.
pub(crate) fn uneven(entries: usize, fields: usize, bytes: usize) -> Vec<Fields> {
    // The lengths repeat after a prime number of values: no entry is like the one before.
    let len = |n: usize| bytes / 2 + (n * 7) % 61 * bytes / 60;
    let field = |n: usize, f: usize| (name(f), value(n, len(n * fields + f)));
    (0..entries).map(|n| (0..fields).map(|f| field(n, f)).collect()).collect()
}

fn name(field: usize) -> Vec<u8> {
    format!("field{}", field % 10).into_bytes()
}

fn value(n: usize, bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().skip(n % 26).take(bytes).collect()
}

/// Returns the reply of XRANGE.
pub(crate) fn range(entries: &[Fields]) -> Vec<u8> {
    let mut out = Vec::new();
    array(&mut out, entries.len());
    entries.iter().enumerate().for_each(|(n, fields)| entry(&mut out, n, fields));
    out
}

/// Returns the reply of XREADGROUP, with the same entries in each of these streams.
pub(crate) fn streams(keys: &[&str], entries: &[Fields], resp3: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let header = format!("{}{}\r\n", if resp3 { '%' } else { '*' }, keys.len());
    out.extend_from_slice(header.as_bytes());
    for key in keys {
        if !resp3 {
            array(&mut out, 2);
        }
        bulk(&mut out, key.as_bytes());
        out.extend_from_slice(&range(entries));
    }
    out
}

fn entry(out: &mut Vec<u8>, n: usize, fields: &Fields) {
    array(out, 2);
    let (ms, seq) = id(n);
    bulk(out, format!("{ms}-{seq}").as_bytes());
    array(out, 2 * fields.len());
    for (name, value) in fields {
        bulk(out, name);
        bulk(out, value);
    }
}

fn array(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(format!("*{len}\r\n").as_bytes());
}

fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
