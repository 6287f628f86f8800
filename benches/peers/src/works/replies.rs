//! Captured replies of the server: the input of the parsers. The entries are the same in every run.

use crate::clients::raw::{Control, command};
use crate::clients::{GROUP, KEY, Resp};
use crate::server::Server;
use bytes::Bytes;

/// A captured reply.
#[derive(Debug, Clone)]
pub struct Reply {
    pub label: &'static str,
    pub kind: Kind,
    pub entries: usize,
    pub bytes: Bytes,
}

/// The command of the reply.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Range,
    Read(Resp),
}

/// Entries to add: their number, the number of fields and the length of values.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub entries: usize,
    pub fields: usize,
    pub bytes: Length,
}

#[derive(Debug, Clone, Copy)]
pub enum Length {
    Fixed(usize),
    /// From 1 to 63 bytes, 32 on average, different for each field of each entry.
    Mixed,
}

/// 5 fields of 32 bytes.
pub const fn five(entries: usize) -> Shape {
    Shape { entries, fields: 5, bytes: Length::Fixed(32) }
}

/// 1 field of 16 bytes.
pub const fn small(entries: usize) -> Shape {
    Shape { entries, fields: 1, bytes: Length::Fixed(16) }
}

impl Shape {
    /// Returns the XADD of each entry.
    pub fn commands(self, key: &str) -> impl Iterator<Item = Vec<u8>> {
        let mut state = 1u32;
        (0..self.entries).map(move |entry| {
            let mut words = vec!["XADD".to_owned(), key.to_owned(), id(entry)];
            for field in 0..self.fields {
                let length = match self.bytes {
                    Length::Fixed(length) => length,
                    Length::Mixed => {
                        // Numerical Recipes' generator: the lengths look random and are always the
                        // same.
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        1 + (state >> 16) as usize % 63
                    }
                };
                words.push(format!("field{field}"));
                words.push("v".repeat(length));
            }
            command(&words.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }
}

/// Returns the id of the entry at this index: three per millisecond.
pub fn id(entry: usize) -> String {
    format!("{}-{}", 1_700_000_000_000 + entry / 3, entry % 3)
}

/// Captures the replies; only small ones unless `all`, because the large one is slow to create.
pub fn capture(server: &mut Server, all: bool) -> Vec<Reply> {
    let fixed = |entries, fields, length| Shape { entries, fields, bytes: Length::Fixed(length) };
    let mixed = Shape { entries: 1000, fields: 5, bytes: Length::Mixed };
    let mut replies = Vec::new();
    let shapes = [
        ("1,000 × 1 × 16 B", small(1000)),
        ("1,000 × 5 × 32 B", five(1000)),
        ("1,000 × 5 × mixed", mixed),
        ("100 × 1 × 4 KiB", fixed(100, 1, 4096)),
        ("100,000 × 5 × 32 B", five(100_000)),
    ];
    for (label, shape) in shapes {
        if all || shape.entries <= 1000 {
            server.clear();
            server.ask_all(shape.commands(KEY));
            let bytes = server.ask(&["XRANGE", KEY, "-", "+"]).into();
            replies.push(Reply { label, kind: Kind::Range, entries: shape.entries, bytes });
        }
    }
    for (label, resp) in
        [("4 streams × 250 × 3 × 24 B, RESP3", Resp::Three), ("the same, RESP2", Resp::Two)]
    {
        let bytes = streams(server, resp).into();
        replies.push(Reply { label, kind: Kind::Read(resp), entries: 1000, bytes });
    }
    server.clear();
    replies
}

/// Returns a captured reply from a file: the nth of the small ones.
pub fn saved(n: usize, bytes: Vec<u8>) -> Reply {
    let kind = match n {
        4 => Kind::Read(Resp::Three),
        5 => Kind::Read(Resp::Two),
        _ => Kind::Range,
    };
    Reply { label: "saved", kind, entries: if n == 3 { 100 } else { 1000 }, bytes: bytes.into() }
}

fn streams(server: &mut Server, resp: Resp) -> Vec<u8> {
    server.clear();
    let keys = ["stream:a", "stream:b", "stream:c", "stream:d"];
    for key in keys {
        let shape = Shape { entries: 250, fields: 3, bytes: Length::Fixed(24) };
        server.ask_all(shape.commands(key));
        server.ask(&["XGROUP", "CREATE", key, GROUP, "0"]);
    }
    let mut connection = Control::connect(&server.tcp()).expect("a server");
    if resp == Resp::Three {
        connection.ask(&["HELLO", "3"]);
    }
    let mut read = vec!["XREADGROUP", "GROUP", GROUP, "consumer", "COUNT", "250", "STREAMS"];
    read.extend(keys);
    read.extend([">"; 4]);
    connection.ask(&read)
}
