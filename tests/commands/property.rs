//! Commands of any arguments there may be, beside a plain list of what they should come to.

use super::one;
use bourn::command::{encode, encode_read};
use bourn::resp::{Limits, Value};
use bourn::{
    AddId, Arg, Command, EntryId, GroupFrom, Raw, ReadFrom, Refs, StartAt, Trim, XAck, XAdd,
    XAutoClaim, XClaim, XDel, XGroupCreate, XGroupCreateConsumer, XGroupDelConsumer, XGroupDestroy,
    XGroupSetId, XLen, XPending, XPendingRange, XRange, XRead, XReadGroup, XRevRange, XTrim,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::num::NonZeroU64;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::time::{Duration, SystemTime};

/// A request and the arguments that it should consist of.
type Case = (Vec<u8>, Vec<Vec<u8>>);

/// The arguments that a request should consist of, put together without the crate.
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

    /// An option, if it is given.
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

/// The request of `command`, which should name this key.
fn case<C: Command>(command: &C, key: &[u8], expected: Words) -> Case {
    assert_eq!(command.key(), Some(key));
    assert_eq!(command.refused(), None);
    (encode(command), expected.0)
}

/// Applies an option, if it is given.
fn with<C, T>(command: C, value: Option<T>, option: impl FnOnce(C, T) -> C) -> C {
    match value {
        Some(value) => option(command, value),
        None => command,
    }
}

/// Any bytes, and those that a writer could trip over.
fn bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => Just(Vec::new()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"$3\r\n".to_vec()),
        1 => Just(b"two words\0".to_vec()),
        1 => Just(b"STREAMS".to_vec()),
        1 => vec(any::<u8>(), 99..101),
        1 => vec(any::<u8>(), 999..1001),
    ]
    .boxed()
}

/// An argument that need not be bytes.
#[derive(Debug, Clone)]
enum Given {
    Bytes(Vec<u8>),
    Unsigned(u64),
    Signed(i64),
    Id(EntryId),
}

impl Given {
    fn arg(&self) -> Arg<'_> {
        match self {
            Self::Bytes(bytes) => bytes.into(),
            Self::Unsigned(n) => (*n).into(),
            Self::Signed(n) => (*n).into(),
            Self::Id(id) => (*id).into(),
        }
    }

    fn add(&self, words: Words) -> Words {
        match self {
            Self::Bytes(bytes) => words.add(bytes),
            Self::Unsigned(n) => words.number(n),
            Self::Signed(n) => words.number(n),
            Self::Id(id) => words.id(*id),
        }
    }
}

fn given() -> BoxedStrategy<Given> {
    prop_oneof![
        5 => bytes().prop_map(Given::Bytes),
        1 => any::<u64>().prop_map(Given::Unsigned),
        1 => any::<i64>().prop_map(Given::Signed),
        1 => id().prop_map(Given::Id),
    ]
    .boxed()
}

fn id() -> BoxedStrategy<EntryId> {
    let number = || prop_oneof![any::<u64>(), 0..20u64, Just(u64::MAX)];
    (number(), number()).prop_map(EntryId::from).boxed()
}

fn bound() -> impl Strategy<Value = Bound<EntryId>> {
    prop_oneof![Just(Unbounded), id().prop_map(Included), id().prop_map(Excluded)]
}

/// A time, and its milliseconds rounded up.
fn time() -> impl Strategy<Value = (Duration, u64)> {
    (any::<u32>(), 0..1_000_000u32).prop_map(|(ms, nanos)| {
        let ms = u64::from(ms);
        (Duration::from_millis(ms) + Duration::from_nanos(nanos.into()), ms + u64::from(nanos > 0))
    })
}

fn positive() -> impl Strategy<Value = NonZeroU64> {
    (1..=u64::MAX).prop_map(one)
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

fn add_id() -> impl Strategy<Value = (AddId, String)> {
    prop_oneof![
        Just((AddId::Auto, "*".to_owned())),
        any::<u64>().prop_map(|ms| (AddId::AutoSeq { ms }, format!("{ms}-*"))),
        id().prop_map(|id| (AddId::Id(id), format!("{}-{}", id.ms(), id.seq()))),
    ]
}

fn xadd() -> impl Strategy<Value = Case> {
    let idmp = option::of((given(), option::of(given())));
    let options = (any::<bool>(), option::of(refs()), idmp, option::of(trim()), add_id());
    (bytes(), options, vec((given(), given()), 0..200)).prop_map(
        |(key, (no_mk_stream, refs, idmp, trim, (id, id_word)), fields)| {
            let add = XAdd::new(&key).fields(fields.iter().map(|(f, v)| (f.arg(), v.arg()))).id(id);
            let add = with(add, refs, |add, (refs, _)| add.refs(refs));
            let add = with(add, trim.as_ref(), |add, (trim, _)| add.trim(*trim));
            let add = with(add, idmp.as_ref(), |add, (pid, iid)| match iid {
                Some(iid) => add.idmp(pid.arg(), iid.arg()),
                None => add.idmp_auto(pid.arg()),
            });
            let words = Words::new("XADD").add(&key).flag(no_mk_stream, "NOMKSTREAM");
            let words = words.option(refs, |words, (_, word)| words.add(word));
            let words = words.option(idmp.as_ref(), |words, (pid, iid)| match iid {
                Some(iid) => iid.add(pid.add(words.add("IDMP"))),
                None => pid.add(words.add("IDMPAUTO")),
            });
            let words = words.option(trim, |words, (_, trim)| words.join(trim)).add(id_word);
            let words = fields.iter().fold(words, |words, (f, v)| v.add(f.add(words)));
            if no_mk_stream {
                case(&add.no_mk_stream(), &key, words)
            } else {
                case(&add, &key, words)
            }
        },
    )
}

/// COUNT, MAXCOUNT and MAXSIZE, and BLOCK: not, for ever (0), or for some time.
type ReadOptions = (Option<u64>, Option<NonZeroU64>, Option<NonZeroU64>, Option<u32>);

fn read_options() -> impl Strategy<Value = ReadOptions> {
    let limits = (option::of(any::<u64>()), option::of(positive()), option::of(positive()));
    (limits, option::of(any::<u32>())).prop_map(|((a, b, c), block)| (a, b, c, block))
}

fn read_words(words: Words, (count, max_count, max_size, block): ReadOptions) -> Words {
    words
        .option(count, |words, n| words.add("COUNT").number(n))
        .option(max_count, |words, n| words.add("MAXCOUNT").number(n))
        .option(max_size, |words, n| words.add("MAXSIZE").number(n))
        .option(block, |words, ms| words.add("BLOCK").number(ms))
}

fn first_key<F>(streams: &[(Vec<u8>, F)]) -> &[u8] {
    streams.first().map_or(&[], |(key, _)| key)
}

fn stream_words<F>(words: Words, streams: &[(Vec<u8>, (F, String))]) -> Words {
    let words = streams.iter().fold(words.add("STREAMS"), |words, (key, _)| words.add(key));
    streams.iter().fold(words, |words, (_, (_, from))| words.add(from))
}

fn xread() -> impl Strategy<Value = Case> {
    let from = prop_oneof![
        id().prop_map(|id| (ReadFrom::After(id), format!("{}-{}", id.ms(), id.seq()))),
        Just((ReadFrom::Latest, "$".to_owned())),
        Just((ReadFrom::Last, "+".to_owned())),
    ];
    (read_options(), vec((bytes(), from), 1..8)).prop_map(|(options, streams)| {
        let (count, max_count, max_size, block) = options;
        let read =
            streams.iter().fold(XRead::new(), |read, (key, (from, _))| read.stream(key, *from));
        let read = with(read, count, XRead::count);
        let read = with(read, max_count, XRead::max_count);
        let read = with(read, max_size, XRead::max_size);
        let words = stream_words(read_words(Words::new("XREAD"), options), &streams);
        match block {
            None => case(&read, first_key(&streams), words),
            Some(0) => (encode_read(&read.block_forever()), words.0),
            Some(ms) => (encode_read(&read.block(Duration::from_millis(ms.into()))), words.0),
        }
    })
}

fn xreadgroup() -> impl Strategy<Value = Case> {
    let from = prop_oneof![
        id().prop_map(|id| (GroupFrom::Pending(id), format!("{}-{}", id.ms(), id.seq()))),
        Just((GroupFrom::New, ">".to_owned())),
    ];
    let options = (read_options(), option::of(time()), any::<bool>());
    (bytes(), bytes(), options, vec((bytes(), from), 1..8)).prop_map(
        |(group, consumer, (options, claim, no_ack), streams)| {
            let (count, max_count, max_size, block) = options;
            let read = streams
                .iter()
                .fold(XReadGroup::new(&group, &consumer), |read, (key, (from, _))| {
                    read.stream(key, *from)
                });
            let read = with(read, count, XReadGroup::count);
            let read = with(read, max_count, XReadGroup::max_count);
            let read = with(read, max_size, XReadGroup::max_size);
            let read = with(read, claim, |read, (time, _)| read.claim(time));
            let read = if no_ack { read.no_ack() } else { read };
            let words = Words::new("XREADGROUP GROUP").add(&group).add(&consumer);
            let words = read_words(words, options)
                .option(claim, |words, (_, ms)| words.add("CLAIM").number(ms))
                .flag(no_ack, "NOACK");
            let words = stream_words(words, &streams);
            match block {
                None => case(&read, first_key(&streams), words),
                Some(0) => (encode_read(&read.block_forever()), words.0),
                Some(ms) => (encode_read(&read.block(Duration::from_millis(ms.into()))), words.0),
            }
        },
    )
}

fn entries() -> BoxedStrategy<Case> {
    let xlen = bytes().prop_map(|key| case(&XLen::new(&key), &key, Words::new("XLEN").add(&key)));
    let ranges = (bytes(), bound(), bound(), option::of(any::<u64>()), any::<bool>()).prop_map(
        |(key, low, high, count, up)| {
            let counted =
                |words: Words| words.option(count, |words, n| words.add("COUNT").number(n));
            if up {
                let words = Words::new("XRANGE").add(&key).bound(low, "-").bound(high, "+");
                let range = with(XRange::new(&key, (low, high)), count, XRange::count);
                case(&range, &key, counted(words))
            } else {
                let words = Words::new("XREVRANGE").add(&key).bound(high, "+").bound(low, "-");
                let range = with(XRevRange::new(&key, (low, high)), count, XRevRange::count);
                case(&range, &key, counted(words))
            }
        },
    );
    let xack = (bytes(), given(), vec(id(), 0..200)).prop_map(|(key, group, ids)| {
        let words = group.add(Words::new("XACK").add(&key)).ids(&ids);
        case(&XAck::new(&key, group.arg(), &ids), &key, words)
    });
    let xdel = (bytes(), vec(id(), 0..200)).prop_map(|(key, ids)| {
        case(&XDel::new(&key, &ids), &key, Words::new("XDEL").add(&key).ids(&ids))
    });
    let xtrim = (bytes(), trim(), option::of(refs())).prop_map(|(key, (trim, words), refs)| {
        let words = Words::new("XTRIM").add(&key).join(words);
        let command = with(XTrim::new(&key, trim), refs, |command, (refs, _)| command.refs(refs));
        case(&command, &key, words.option(refs, |words, (_, word)| words.add(word)))
    });
    prop_oneof![xlen.boxed(), ranges.boxed(), xack.boxed(), xdel.boxed(), xtrim.boxed()].boxed()
}

fn groups() -> BoxedStrategy<Case> {
    let start = || {
        prop_oneof![
            id().prop_map(|id| (StartAt::After(id), format!("{}-{}", id.ms(), id.seq()))),
            Just((StartAt::End, "$".to_owned())),
        ]
    };
    let read = || option::of(any::<u64>());
    let create = (bytes(), given(), start(), any::<bool>(), read()).prop_map(
        |(key, group, (start, start_word), mk_stream, read)| {
            let words = group.add(Words::new("XGROUP CREATE").add(&key)).add(start_word);
            let words = words.flag(mk_stream, "MKSTREAM");
            let words = words.option(read, |words, n| words.add("ENTRIESREAD").number(n));
            let create = XGroupCreate::new(&key, group.arg(), start);
            let create = with(create, read, XGroupCreate::entries_read);
            case(&if mk_stream { create.mk_stream() } else { create }, &key, words)
        },
    );
    let set_id =
        (bytes(), given(), start(), read()).prop_map(|(key, group, (start, word), read)| {
            let words = group.add(Words::new("XGROUP SETID").add(&key)).add(word);
            let words = words.option(read, |words, n| words.add("ENTRIESREAD").number(n));
            let set_id = XGroupSetId::new(&key, group.arg(), start);
            case(&with(set_id, read, XGroupSetId::entries_read), &key, words)
        });
    let destroy = (bytes(), given()).prop_map(|(key, group)| {
        let words = group.add(Words::new("XGROUP DESTROY").add(&key));
        case(&XGroupDestroy::new(&key, group.arg()), &key, words)
    });
    let consumer =
        (bytes(), given(), given(), any::<bool>()).prop_map(|(key, group, consumer, create)| {
            let form = if create { "XGROUP CREATECONSUMER" } else { "XGROUP DELCONSUMER" };
            let words = consumer.add(group.add(Words::new(form).add(&key)));
            if create {
                case(&XGroupCreateConsumer::new(&key, group.arg(), consumer.arg()), &key, words)
            } else {
                case(&XGroupDelConsumer::new(&key, group.arg(), consumer.arg()), &key, words)
            }
        });
    prop_oneof![create.boxed(), set_id.boxed(), destroy.boxed(), consumer.boxed()].boxed()
}

fn pending() -> BoxedStrategy<Case> {
    let summary = (bytes(), given()).prop_map(|(key, group)| {
        let words = group.add(Words::new("XPENDING").add(&key));
        case(&XPending::new(&key, group.arg()), &key, words)
    });
    let options = (option::of(time()), option::of(given()));
    let range = (bytes(), given(), (bound(), bound()), any::<u64>(), options).prop_map(
        |(key, group, (low, high), count, (idle, consumer))| {
            let words = group.add(Words::new("XPENDING").add(&key));
            let words = words.option(idle, |words, (_, ms)| words.add("IDLE").number(ms));
            let words = words.bound(low, "-").bound(high, "+").number(count);
            let words = words.option(consumer.as_ref(), |words, consumer| consumer.add(words));
            let range = XPendingRange::new(&key, group.arg(), (low, high), count);
            let range = with(range, idle, |range, (time, _)| range.idle(time));
            let range =
                with(range, consumer.as_ref(), |range, consumer| range.consumer(consumer.arg()));
            case(&range, &key, words)
        },
    );
    let names = (bytes(), given(), given(), time());
    let options = (
        option::of((any::<bool>(), time())),
        option::of(any::<u64>()),
        any::<bool>(),
        option::of(id()),
        any::<bool>(),
    );
    let claim = (names, vec(id(), 0..200), options).prop_map(
        |(
            (key, group, consumer, (min_idle, ms)),
            ids,
            (delivered, retry, force, last_id, just_id),
        )| {
            let words =
                consumer.add(group.add(Words::new("XCLAIM").add(&key))).number(ms).ids(&ids);
            let words = words.option(delivered, |words, (ago, (time, ms))| match ago {
                true => words.add("IDLE").number(ms),
                false => words.add("TIME").number(time.as_millis()),
            });
            let words = words
                .option(retry, |words, n| words.add("RETRYCOUNT").number(n))
                .flag(force, "FORCE")
                .flag(just_id, "JUSTID")
                .option(last_id, |words, id| words.add("LASTID").id(id));
            let claim = XClaim::new(&key, group.arg(), consumer.arg(), min_idle, &ids);
            let claim = with(claim, delivered, |claim, (ago, (time, _))| match ago {
                true => claim.idle(time),
                false => claim.time(SystemTime::UNIX_EPOCH + time),
            });
            let claim = with(claim, retry, XClaim::retry_count);
            let claim = with(claim, last_id, XClaim::last_id);
            let claim = if force { claim.force() } else { claim };
            if just_id { case(&claim.just_id(), &key, words) } else { case(&claim, &key, words) }
        },
    );
    let names = (bytes(), given(), given(), time());
    let options = (any::<bool>(), option::of(positive()), any::<bool>());
    let auto_claim = (names, id(), options).prop_map(
        |((key, group, consumer, (min_idle, ms)), start, (exclusive, count, just_id))| {
            let words = consumer.add(group.add(Words::new("XAUTOCLAIM").add(&key))).number(ms);
            let bound = if exclusive { Excluded(start) } else { Included(start) };
            let words = words
                .bound(bound, "")
                .option(count, |words, n| words.add("COUNT").number(n))
                .flag(just_id, "JUSTID");
            let claim = XAutoClaim::new(&key, group.arg(), consumer.arg(), min_idle, start);
            let claim = with(claim, count, XAutoClaim::count);
            let claim = if exclusive { claim.exclusive() } else { claim };
            if just_id { case(&claim.just_id(), &key, words) } else { case(&claim, &key, words) }
        },
    );
    prop_oneof![summary.boxed(), range.boxed(), claim.boxed(), auto_claim.boxed()].boxed()
}

fn raw() -> impl Strategy<Value = Case> {
    ("[A-Z.]{1,20}( [A-Z]{1,9})?", vec(given(), 0..200)).prop_map(|(name, args)| {
        let words = args.iter().fold(Words::new(&name), |words, arg| arg.add(words));
        (encode(&Raw::new(&name).args(args.iter().map(Given::arg))), words.0)
    })
}

proptest! {
    #[test]
    fn any_command_is_one_array_of_bulk_strings_that_reads_back_as_its_arguments(
        (request, expected) in prop_oneof![
            3 => xadd().boxed(),
            2 => xread().boxed(),
            2 => xreadgroup().boxed(),
            3 => entries(),
            3 => groups(),
            3 => pending(),
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
