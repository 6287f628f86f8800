//! XADD. No I/O.

use super::call::{Answer, Call};
use super::stream::{Fields, Stream, as_signed, as_unsigned, automatic_iid};
use super::trim::Trim;
use super::{Release, Reply, arguments, entries, errors};
use crate::id::EntryId;
use bytes::Bytes;

/// The options of XADD.
#[derive(Debug, Default)]
struct Options {
    trim: Trim,
    no_mk_stream: bool,
    idempotent: Option<Idempotent>,
    id: Option<NewId>,
}

/// The id of a new entry.
#[derive(Debug, Clone, Copy)]
enum NewId {
    /// `*`
    Auto,
    /// An id, or `ms-*`.
    Given(u64, Option<u64>),
}

/// The pair that makes an XADD idempotent.
#[derive(Debug)]
struct Idempotent {
    producer: Bytes,
    /// `None`: made of the fields.
    iid: Option<Bytes>,
}

/// `XADD key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [IDMPAUTO pid|IDMP pid iid] [MAXLEN|MINID [=|~]
/// threshold [LIMIT n]] *|id field value [field value ...]`
pub(super) fn xadd(call: &mut Call<'_>) -> Answer {
    let (options, first_field) = parse(call)?;
    let fields = call.args.from(first_field);
    let Some(id) = options.id.filter(|_| fields.len() >= 2 && fields.len() % 2 == 0) else {
        let old = !call.has(Release::Redis7_0);
        let error = Reply::error("ERR wrong number of arguments for XADD");
        return Err(if old { error } else { errors::arity("xadd") });
    };
    if matches!(id, NewId::Given(0, Some(0))) {
        return Err(Reply::error("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = call.args.at(1);
    if call.stream(key)?.is_none() {
        if options.no_mk_stream {
            return Ok(Reply::Null);
        }
        call.create_stream(key);
    }
    let (now, limits, release) = (call.now, call.limits, call.release);
    let stream = call.stream(key)?.expect("it was created above");
    let pair = options.idempotent.map(|Idempotent { producer, iid }| {
        (producer, iid.unwrap_or_else(|| automatic_iid(fields)))
    });
    if let Some((producer, iid)) = &pair {
        stream.idmp.tick(now);
        stream.idmp.see(producer);
        if let Some(id) = stream.idmp.find(producer, iid) {
            stream.idmp.duplicates += 1;
            return Ok(entries::id(id));
        }
    }
    let id = next_id(stream, id, now, release)?;
    stream.nodes.append(id, Fields::from(fields), limits);
    stream.last_id = id;
    stream.entries_added = as_unsigned(release.increase(as_signed(stream.entries_added)));
    if let Some((producer, iid)) = pair {
        stream.idmp.record(&producer, iid, id);
    }
    options.trim.run(stream, limits, release);
    call.modified(key);
    call.ready(key);
    Ok(entries::id(id))
}

/// Returns the options, and the index of the first field.
fn parse(call: &Call<'_>) -> Result<(Options, usize), Reply> {
    let args = call.args;
    let mut options = Options::default();
    let mut index = 2;
    while index < args.len() && options.id.is_none() {
        if **args.at(index) == *b"*" {
            options.id = Some(NewId::Auto);
            index += 1;
            continue;
        }
        let taken = options.trim.parse_option(call, index)?;
        if taken > 0 {
            index += taken;
        } else if args.is(index, "NOMKSTREAM") {
            options.no_mk_stream = true;
            index += 1;
        } else if let Some(taken) = options.parse_idempotent(call, index)? {
            index += taken;
        } else {
            let new = arguments::new_id(args.at(index));
            let new = new.filter(|(_, seq)| seq.is_some() || call.has(Release::Redis7_0));
            let (ms, seq) = new.ok_or_else(errors::invalid_id)?;
            if options.idempotent.is_some() {
                return Err(Reply::error(
                    "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs",
                ));
            }
            options.id = Some(NewId::Given(ms, seq));
            index += 1;
        }
    }
    options.trim.check()?;
    options.trim.check_limit()?;
    Ok((options, index))
}

impl Options {
    /// Parses IDMP or IDMPAUTO, and returns the number of arguments that it takes.
    fn parse_idempotent(&mut self, call: &Call<'_>, index: usize) -> Result<Option<usize>, Reply> {
        let args = call.args;
        let more = args.more(index);
        let (name, values) = match () {
            () if !call.has(Release::Redis8_6) => return Ok(None),
            () if args.is(index, "IDMP") && more >= 2 => ("IDMP", 2),
            () if args.is(index, "IDMPAUTO") && more >= 1 => ("IDMPAUTO", 1),
            () => return Ok(None),
        };
        if self.idempotent.is_some() {
            return Err(Reply::error("ERR syntax error, IDMP/IDMPAUTO specified multiple times"));
        }
        let producer = args.at(index + 1).clone();
        if producer.is_empty() {
            let error = format!("ERR syntax error, {name} requires a non-empty producer ID");
            return Err(Reply::error(error));
        }
        let iid = (values == 2).then(|| args.at(index + 2).clone());
        if iid.as_ref().is_some_and(Bytes::is_empty) {
            return Err(Reply::error("ERR syntax error, IDMP requires a non-empty idempotent ID"));
        }
        self.idempotent = Some(Idempotent { producer, iid });
        Ok(Some(1 + values))
    }
}

/// Returns the id of a new entry, which is above the last one.
fn next_id(stream: &Stream, id: NewId, now: i64, release: Release) -> Result<EntryId, Reply> {
    let last = stream.last_id;
    let Some(next) = last.next() else {
        return Err(Reply::error(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    };
    let id = match id {
        NewId::Auto => next.max(EntryId::new(u64::try_from(now).unwrap_or_default(), 0)),
        NewId::Given(ms, Some(seq)) => EntryId::new(ms, seq),
        NewId::Given(ms, None) if ms == last.ms() && last.seq() == u64::MAX => {
            let old = !release.has(Release::Redis7_2);
            let error = Reply::error("ERR Elements are too large to be stored");
            return Err(if old { error } else { not_above() });
        }
        NewId::Given(ms, None) if ms == last.ms() => next,
        NewId::Given(ms, None) => EntryId::new(ms, 0),
    };
    if id > last { Ok(id) } else { Err(not_above()) }
}

fn not_above() -> Reply {
    Reply::error("ERR The ID specified in XADD is equal or smaller than the target stream top item")
}
