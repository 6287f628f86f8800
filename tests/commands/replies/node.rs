//! A reply without its protocol form, and the servers that write it.
//!
//! | node | RESP2 | RESP3 |
//! |---|---|---|
//! | null, null in an array's place | `$-1`, `*-1` | `_` |
//! | map | flat array | `%` |
//! | streams | array of pairs | `%` |
//! | the rest | the same | the same |
//!
//! A later server may change the form: it adds elements to tuples and fields to maps in any place;
//! reorders a map's fields; sends a number in a string, a text as a verbatim string, or another
//! kind of null; adds an attribute to a value.

use bourn::EntryId;
use bourn::resp::{Limits, Value};
use proptest::option;
use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    NullArray,
    /// A field that is null, or absent on an older server.
    Unknown,
    Integer(i64),
    Simple(Vec<u8>),
    Bulk(Vec<u8>),
    /// Text for humans.
    Text(Vec<u8>),
    /// Any number of equal nodes.
    List(Vec<Self>),
    /// Each place has its meaning; later servers may add places.
    Tuple(Vec<Self>),
    /// Fields by name.
    Map(Vec<(Vec<u8>, Self)>),
    /// The reply to a read: keys in the order of the request; a key may be there twice.
    Streams(Vec<(Self, Self)>),
}

impl Node {
    pub(super) fn count(n: u64) -> Self {
        Self::Integer(i64::from_ne_bytes(n.to_ne_bytes()))
    }

    pub(super) fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    pub(super) fn simple(text: impl AsRef<[u8]>) -> Self {
        Self::Simple(text.as_ref().to_vec())
    }

    /// A number in a string.
    pub(super) fn digits(n: impl ToString) -> Self {
        Self::bulk(n.to_string())
    }

    pub(super) fn id(id: EntryId) -> Self {
        Self::bulk(format!("{}-{}", id.ms(), id.seq()))
    }

    pub(super) fn ids(ids: &[EntryId]) -> Self {
        Self::list(ids, |id| Self::id(*id))
    }

    pub(super) fn list<T>(parts: &[T], node: impl Fn(&T) -> Self) -> Self {
        Self::List(parts.iter().map(node).collect())
    }

    pub(super) fn or_null<T>(part: Option<T>, node: impl FnOnce(T) -> Self) -> Self {
        part.map_or(Self::Null, node)
    }

    /// A map without its absent fields.
    pub(super) fn map<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Self>)>) -> Self {
        let there = fields.into_iter().filter_map(|(name, node)| Some((name.into(), node?)));
        Self::Map(there.collect())
    }
}

/// The writer of a reply: its protocol, and the seed of its changes if it is a later server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    resp3: bool,
    old: bool,
    later: Option<u64>,
}

pub(super) fn servers() -> impl Strategy<Value = Server> {
    let later = option::weighted(0.7, any::<u64>());
    (any::<bool>(), any::<bool>(), later).prop_map(|(resp3, old, later)| Server {
        resp3,
        old,
        later,
    })
}

impl Server {
    pub(super) fn write(&self, node: &Node) -> Vec<u8> {
        let dice = self.later.map(Dice);
        let mut writer = Writer { resp3: self.resp3, old: self.old, dice, out: Vec::new() };
        writer.node(node);
        writer.out
    }
}

struct Writer {
    resp3: bool,
    old: bool,
    /// The changes of a later server.
    dice: Option<Dice>,
    out: Vec<u8>,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        if self.resp3 && self.throws(30) {
            self.line("|1");
            self.bulk(b"ttl");
            self.line(":3600");
        }
        match node {
            Node::Null | Node::Unknown => self.null("$-1"),
            Node::NullArray => self.null("*-1"),
            Node::Integer(n) if self.throws(8) => self.bulk(n.to_string().as_bytes()),
            Node::Integer(n) => self.line(&format!(":{n}")),
            Node::Simple(text) => {
                self.out.push(b'+');
                self.out.extend_from_slice(text);
                self.line("");
            }
            Node::Text(text) if self.resp3 && self.throws(2) => {
                self.line(&format!("={}", text.len() + 4));
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text);
                self.line("");
            }
            Node::Bulk(text) | Node::Text(text) => self.bulk(text),
            Node::List(parts) => self.array(parts, 0),
            Node::Tuple(parts) => {
                let more = if self.throws(2) { 1 + self.below(3) } else { 0 };
                self.array(parts, more);
            }
            Node::Map(fields) => self.map(fields),
            Node::Streams(streams) => {
                let kind = if self.resp3 { '%' } else { '*' };
                self.line(&format!("{kind}{}", streams.len()));
                for (key, entries) in streams {
                    if !self.resp3 {
                        self.line("*2");
                    }
                    self.node(key);
                    self.node(entries);
                }
            }
        }
    }

    fn null(&mut self, resp2: &str) {
        let other = ["$-1", "*-1"][usize::from(self.throws(2))];
        match (self.resp3, self.dice.is_some()) {
            (true, _) => self.line("_"),
            (false, true) => self.line(other),
            (false, false) => self.line(resp2),
        }
    }

    fn array(&mut self, parts: &[Node], more: usize) {
        self.line(&format!("*{}", parts.len() + more));
        parts.iter().for_each(|part| self.node(part));
        (0..more).for_each(|n| self.plain(&added(n)));
    }

    fn map(&mut self, fields: &[(Vec<u8>, Node)]) {
        let mut fields = fields.to_vec();
        fields.retain(|(_, node)| !(self.old && matches!(node, Node::Unknown)));
        for n in 0..self.below(4) {
            let name = format!("{ADDED}{n}").into_bytes();
            let place = self.below(fields.len() + 1);
            fields.insert(place, (name, added(n)));
        }
        for place in 0..fields.len() {
            let other = self.below(fields.len());
            if self.throws(3) {
                fields.swap(place, other);
            }
        }
        let len = fields.len();
        self.line(&if self.resp3 { format!("%{len}") } else { format!("*{}", 2 * len) });
        for (name, node) in &fields {
            self.bulk(name);
            if name.starts_with(ADDED.as_bytes()) { self.plain(node) } else { self.node(node) }
        }
    }

    /// Writes a node without changes.
    fn plain(&mut self, node: &Node) {
        let dice = self.dice.take();
        self.node(node);
        self.dice = dice;
    }

    fn bulk(&mut self, text: &[u8]) {
        self.line(&format!("${}", text.len()));
        self.out.extend_from_slice(text);
        self.line("");
    }

    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Returns `true` once in `sides` times on a later server, and never on an existing one.
    fn throws(&mut self, sides: usize) -> bool {
        self.dice.is_some() && self.below(sides) == 0
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice.as_mut().map_or(0, |dice| dice.next() % end)
    }
}

/// The prefix of the names of fields that a later server adds.
const ADDED: &str = "later-";

/// The values that a later server adds.
fn added(n: usize) -> Node {
    match n {
        0 => Node::Map(vec![(b"a\r\n".to_vec(), Node::List(vec![Node::Null, Node::Integer(-1)]))]),
        1 => Node::bulk("$9\r\n"),
        2 => Node::List(vec![]),
        _ => Node::NullArray,
    }
}

/// Whether these unknown fields are those that a later server added, and none is missing.
pub(super) fn are_added<N: AsRef<[u8]>>(extra: &[(N, Value)]) -> bool {
    let number = |(name, value): &(N, Value)| {
        let name = std::str::from_utf8(name.as_ref()).expect("the name is text");
        let n = name.strip_prefix(ADDED).expect("it is one that was added");
        let n = n.parse().expect("it ends in a number");
        let is_value = |resp3| {
            let bytes = Server { resp3, old: false, later: None }.write(&added(n));
            let parsed = Value::parse(&bytes, Limits::default());
            matches!(parsed, Ok(Some((parsed, _))) if parsed == *value)
        };
        (is_value(false) || is_value(true)).then_some(n)
    };
    let mut numbers: Vec<_> = extra.iter().map(number).collect();
    numbers.sort_unstable();
    numbers.into_iter().eq((0..extra.len()).map(Some))
}

/// A deterministic generator: xorshift.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> usize {
        let mut x = self.0 | 1 << 40;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        usize::from(u16::try_from(x >> 48).unwrap_or_default())
    }
}
