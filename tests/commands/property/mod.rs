//! Commands with any arguments, compared with a plain list of the expected words.

mod add;
mod connection;
mod entries;
mod groups;
mod keys;
mod outcomes;
mod pending;
mod read;
mod server;
mod stream;

use crate::any::{Given, given, id};
use bourn::command::{encode, encode_dedicated};
use bourn::resp::{Limits, Measure, Value, Writer};
use bourn::{Command, DedicatedCommand, EntryId, Raw, Refs, Trim};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_command_encodes_to_an_array_of_its_arguments(
        (request, expected) in prop_oneof![
            3 => add::xadd().boxed(),
            2 => read::xread().boxed(),
            2 => read::xreadgroup().boxed(),
            3 => entries::entries(),
            3 => groups::groups(),
            3 => pending::pending(),
            2 => outcomes::outcomes(),
            3 => stream::stream(),
            2 => keys::keys(),
            2 => server::server(),
            3 => connection::connection(),
            1 => raw().boxed(),
        ]
    ) {
        let parsed = Value::parse(&request, Limits::default());
        let Ok(Some((Value::Array(args), len))) = parsed else {
            return Err(TestCaseError::fail(format!("{parsed:?}")));
        };
        prop_assert_eq!(len, request.len());
        let expected: Vec<_> = expected.into_iter().map(Value::Bulk).collect();
        prop_assert_eq!(&args[..], &expected[..]);
    }
}

/// A request and its expected arguments.
type Case = (Vec<u8>, Vec<Vec<u8>>);

/// The expected arguments of a request, built without the crate.
#[derive(Debug, Clone)]
struct Words(Vec<Vec<u8>>);

impl Words {
    fn new(text: &str) -> Self {
        Self(text.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    fn add(mut self, word: impl AsRef<[u8]>) -> Self {
        self.0.push(word.as_ref().to_vec());
        self
    }

    fn join(mut self, words: Self) -> Self {
        self.0.extend(words.0);
        self
    }

    fn number(self, n: impl ToString) -> Self {
        self.add(n.to_string())
    }

    fn id(self, id: EntryId) -> Self {
        self.add(format!("{}-{}", id.ms(), id.seq()))
    }

    fn given(self, given: &Given) -> Self {
        match given {
            Given::Bytes(bytes) => self.add(bytes),
            Given::Unsigned(n) => self.number(n),
            Given::Signed(n) => self.number(n),
            Given::Id(id) => self.id(*id),
        }
    }

    fn ids(self, ids: &[EntryId]) -> Self {
        ids.iter().fold(self, |words, id| words.id(*id))
    }

    fn bound(self, bound: Bound<EntryId>, open: &str) -> Self {
        match bound {
            Unbounded => self.add(open),
            Included(id) => self.id(id),
            Excluded(id) => self.add(format!("({}-{}", id.ms(), id.seq())),
        }
    }

    /// Adds an option, if it has a value.
    fn option<T>(self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    fn flag(self, flag: bool, word: &str) -> Self {
        if flag { self.add(word) } else { self }
    }
}

/// The request of `command`, whose first key must be this.
fn case<C: Command>(command: &C, key: &[u8], expected: Words) -> Case {
    let first = [format!("${}\r\n", key.len()).as_bytes(), key, b"\r\n"].concat();
    assert!(keys(command).starts_with(&first), "{:?}", keys(command).escape_ascii());
    request(command, expected)
}

/// The request of a command without a key.
fn keyless<C: Command>(command: &C, expected: Words) -> Case {
    assert_eq!(keys(command), b"");
    request(command, expected)
}

/// The keys that a command lists, as bulk strings.
fn keys<C: Command>(command: &C) -> Vec<u8> {
    let mut out = Vec::new();
    command.keys(&mut Writer::begin(&mut out, &Measure::default()));
    out.split_off(b"*0\r\n".len())
}

fn request<C: Command>(command: &C, expected: Words) -> Case {
    assert_eq!(command.refused(), None);
    let request = encode(command);
    assert_eq!(request, encode_dedicated(command), "the dedicated encoding is the same");
    (request, expected.0)
}

/// The request of a command for a dedicated connection.
fn own<C: DedicatedCommand>(command: &C, expected: Words) -> Case {
    assert_eq!(command.dedicated_refused(), None);
    (encode_dedicated(command), expected.0)
}

/// Applies an option, if it has a value.
fn with<C, T>(command: C, value: Option<T>, option: impl FnOnce(C, T) -> C) -> C {
    match value {
        Some(value) => option(command, value),
        None => command,
    }
}

fn bound() -> impl Strategy<Value = Bound<EntryId>> {
    prop_oneof![Just(Unbounded), id().prop_map(Included), id().prop_map(Excluded)]
}

fn refs() -> impl Strategy<Value = (Refs, &'static str)> {
    prop_oneof![
        Just((Refs::Keep, "KEEPREF")),
        Just((Refs::Delete, "DELREF")),
        Just((Refs::Acked, "ACKED")),
    ]
}

fn trim() -> BoxedStrategy<(Trim, Words)> {
    let threshold = prop_oneof![
        any::<u64>().prop_map(|n| (Trim::max_len(n), "MAXLEN", n.to_string())),
        id().prop_map(|id| (Trim::min_id(id), "MINID", format!("{}-{}", id.ms(), id.seq()))),
    ];
    (threshold, any::<bool>(), option::of(any::<u64>()))
        .prop_map(|((trim, word, threshold), approximate, limit)| {
            let sign = if approximate || limit.is_some() { "~" } else { "=" };
            let words = Words::new(word).add(sign).add(threshold);
            let trim = if approximate { trim.approximate() } else { trim };
            (
                with(trim, limit, Trim::limit),
                words.option(limit, |words, n| words.add("LIMIT").number(n)),
            )
        })
        .boxed()
}

fn raw() -> impl Strategy<Value = Case> {
    ("[A-Z.]{1,20}( [A-Z]{1,9})?", vec(given(), 0..200)).prop_map(|(name, args)| {
        let words = args.iter().fold(Words::new(&name), |words, arg| words.given(arg));
        (encode(&Raw::new(&name).args(args.iter().map(Given::arg))), words.0)
    })
}
