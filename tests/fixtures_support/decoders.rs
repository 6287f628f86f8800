//! The decoder for the reply of each command.

use super::Case;
use super::json::{Json, list};
use super::meaning::Means;
use bourn::resp::{DecodeError, Frame, Value};
use bourn::{
    Blocking, BlockingCommand, ClientId, ClusterShards, ClusterSlots, Command, DedicatedCommand,
    Hello, Ping, Raw, Role, ServerError, Wait, XAck, XAckDel, XAdd, XAddNoMkStream, XAutoClaim,
    XAutoClaimJustId, XCfgSet, XClaim, XClaimJustId, XDel, XDelEx, XGroupCreate,
    XGroupCreateConsumer, XGroupDelConsumer, XGroupDestroy, XGroupSetId, XInfoConsumers,
    XInfoGroups, XInfoStream, XInfoStreamFull, XLen, XNack, XPending, XPendingRange, XRange, XRead,
    XReadGroup, XRevRange, XSetId, XTrim,
};
use std::fmt::Debug;

/// The decoder of one command.
pub(crate) struct Decoder {
    /// The name of the command type.
    pub(crate) name: &'static str,
    command: &'static str,
    decode: fn(Frame, &Json) -> Result<(), String>,
    takes: fn(Frame) -> bool,
    fits: fn(&Value) -> bool,
}

/// The decoders of every captured command that has a type.
pub(crate) const TYPED: [Decoder; 39] = [
    decoder::<ClientId>("ClientId", is_integer),
    decoder::<ClusterShards>("ClusterShards", is_array),
    decoder::<ClusterSlots>("ClusterSlots", is_array),
    decoder::<Ping>("Ping", |value| value.as_bytes() == Some(b"PONG")),
    decoder::<Role>("Role", is_array),
    decoder::<XAck<'_>>("XAck", is_integer),
    decoder::<XAckDel<'_>>("XAckDel", is_array),
    decoder::<XAdd<'_>>("XAdd", is_string),
    decoder::<XAddNoMkStream<'_>>("XAddNoMkStream", |value| value.is_null() || is_string(value)),
    decoder::<XAutoClaim<'_>>("XAutoClaim", is_array),
    decoder::<XAutoClaimJustId<'_>>("XAutoClaimJustId", is_array),
    decoder::<XCfgSet<'_>>("XCfgSet", is_ok),
    decoder::<XClaim<'_>>("XClaim", is_array_or_null),
    decoder::<XClaimJustId<'_>>("XClaimJustId", is_array_or_null),
    decoder::<XDel<'_>>("XDel", is_integer),
    decoder::<XDelEx<'_>>("XDelEx", is_array),
    decoder::<XGroupCreate<'_>>("XGroupCreate", is_ok),
    decoder::<XGroupCreateConsumer<'_>>("XGroupCreateConsumer", is_integer),
    decoder::<XGroupDelConsumer<'_>>("XGroupDelConsumer", is_integer),
    decoder::<XGroupDestroy<'_>>("XGroupDestroy", is_integer),
    decoder::<XGroupSetId<'_>>("XGroupSetId", is_ok),
    decoder::<XInfoConsumers<'_>>("XInfoConsumers", is_array),
    decoder::<XInfoGroups<'_>>("XInfoGroups", is_array),
    decoder::<XInfoStream<'_>>("XInfoStream", is_map),
    decoder::<XInfoStreamFull<'_>>("XInfoStreamFull", is_map),
    decoder::<XLen<'_>>("XLen", is_integer),
    decoder::<XNack<'_>>("XNack", is_integer),
    decoder::<XPending<'_>>("XPending", is_array),
    decoder::<XPendingRange<'_>>("XPendingRange", is_array_or_null),
    decoder::<XRange<'_>>("XRange", is_array_or_null),
    decoder::<XRead<'_>>("XRead", is_map_or_null),
    decoder::<XReadGroup<'_>>("XReadGroup", is_map_or_null),
    decoder::<XRevRange<'_>>("XRevRange", is_array_or_null),
    decoder::<XSetId<'_>>("XSetId", is_ok),
    decoder::<XTrim<'_>>("XTrim", is_integer),
    blocking::<Blocking<XRead<'_>>>("Blocking<XRead>"),
    blocking::<Blocking<XReadGroup<'_>>>("Blocking<XReadGroup>"),
    own::<Hello<'_>>("Hello", is_map),
    own::<Wait>("Wait", is_integer),
];

/// The decoder of every other command.
pub(crate) const RAW: Decoder = decoder::<Raw<'_>>("Raw", |_| true);

const fn decoder<C: Command>(name: &'static str, fits: fn(&Value) -> bool) -> Decoder
where
    C::Reply: Means + Debug,
{
    Decoder {
        name,
        command: C::NAME,
        decode: |frame, value| compare(C::reply(frame), value),
        takes: |frame| C::reply(frame).is_ok(),
        fits,
    }
}

const fn blocking<C: BlockingCommand>(name: &'static str) -> Decoder {
    Decoder {
        name,
        command: C::READ,
        decode: |frame, value| compare(C::read_reply(frame), value),
        takes: |frame| C::read_reply(frame).is_ok(),
        fits: is_map_or_null,
    }
}

const fn own<C: DedicatedCommand>(name: &'static str, fits: fn(&Value) -> bool) -> Decoder
where
    C::DedicatedReply: Means + Debug,
{
    Decoder {
        name,
        command: C::DEDICATED_NAME,
        decode: |frame, value| compare(C::dedicated_reply(frame), value),
        takes: |frame| C::dedicated_reply(frame).is_ok(),
        fits,
    }
}

fn compare<R: Means + Debug>(reply: Result<R, DecodeError>, value: &Json) -> Result<(), String> {
    match reply {
        Ok(reply) if reply.means(value) => Ok(()),
        Ok(reply) => Err(format!("{reply:.200?} is not {value:.200}")),
        Err(error) => Err(format!("{error}, in place of {value:.200}")),
    }
}

impl Decoder {
    /// Returns the decoder of this command; for handmade bytes, of one with this kind of reply.
    pub(crate) fn of(command: &[Json], kind: &str) -> &'static Self {
        let words: Vec<_> = command.iter().map(|word| word.as_str().unwrap_or_default()).collect();
        let has = |option| words.contains(&option);
        let name = match *words {
            ["CLIENT", "ID"] => "ClientId",
            ["CLUSTER", "SHARDS"] => "ClusterShards",
            ["CLUSTER", "SLOTS"] => "ClusterSlots",
            ["HELLO", ..] => "Hello",
            ["PING"] => "Ping",
            ["ROLE"] => "Role",
            ["WAIT", ..] => "Wait",
            ["XACK", ..] => "XAck",
            ["XACKDEL", ..] => "XAckDel",
            ["XADD", ..] if has("NOMKSTREAM") => "XAddNoMkStream",
            ["XADD", ..] => "XAdd",
            ["XAUTOCLAIM", ..] if has("JUSTID") => "XAutoClaimJustId",
            ["XAUTOCLAIM", ..] => "XAutoClaim",
            ["XCFGSET", ..] => "XCfgSet",
            ["XCLAIM", ..] if has("JUSTID") => "XClaimJustId",
            ["XCLAIM", ..] => "XClaim",
            ["XDEL", ..] => "XDel",
            ["XDELEX", ..] => "XDelEx",
            ["XGROUP", "CREATE", ..] => "XGroupCreate",
            ["XGROUP", "CREATECONSUMER", ..] => "XGroupCreateConsumer",
            ["XGROUP", "DELCONSUMER", ..] => "XGroupDelConsumer",
            ["XGROUP", "DESTROY", ..] => "XGroupDestroy",
            ["XGROUP", "SETID", ..] => "XGroupSetId",
            ["XINFO", "CONSUMERS", ..] => "XInfoConsumers",
            ["XINFO", "GROUPS", ..] => "XInfoGroups",
            ["XINFO", "STREAM", _] => "XInfoStream",
            ["XINFO", "STREAM", ..] => "XInfoStreamFull",
            ["XLEN", ..] => "XLen",
            ["XNACK", ..] => "XNack",
            ["XPENDING", _, _] => "XPending",
            ["XPENDING", ..] => "XPendingRange",
            ["XRANGE", ..] => "XRange",
            ["XREAD", ..] if has("BLOCK") => "Blocking<XRead>",
            ["XREAD", ..] => "XRead",
            ["XREADGROUP", ..] if has("BLOCK") => "Blocking<XReadGroup>",
            ["XREADGROUP", ..] => "XReadGroup",
            ["XREVRANGE", ..] => "XRevRange",
            ["XSETID", ..] => "XSetId",
            ["XTRIM", ..] => "XTrim",
            [] if kind == "int" => "XLen",
            [] if kind == "ok" => "XGroupCreate",
            [] if kind == "streams" => "XReadGroup",
            _ => "Raw",
        };
        TYPED.iter().find(|decoder| decoder.name == name).unwrap_or(&RAW)
    }

    /// Compares the decoded frame with its recorded value.
    pub(crate) fn check(&self, frame: Frame, kind: &str, value: &Json) -> Result<(), String> {
        if let Some(text) = frame.error() {
            let error = ServerError::new(self.command, text);
            let same = kind == "error" && error.command() == self.command && error.means(value);
            return if same { Ok(()) } else { Err(format!("{error} is not {value}")) };
        }
        if frame.is_null() != value.is_null() {
            return Err(format!("{frame:?} is not {value:.200}"));
        }
        (self.decode)(frame, value)
    }

    /// Whether the frame, which is this value, decodes although it cannot be such a reply.
    pub(crate) fn is_taken_in(&self, frame: &Frame, value: &Value) -> bool {
        (self.takes)(frame.clone()) && !(self.fits)(value.described())
    }
}

/// The way in which a case was decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With these decoders.
    Typed(Vec<&'static str>),
    /// As a server error.
    Error,
    /// As a value tree.
    Tree,
}

/// Decodes the frame that answers the command, and compares it with its recorded value.
pub(crate) fn check(case: &Case, frame: Frame) -> Result<How, String> {
    let (kind, value) = (case.kind(), case.value());
    if let Some(kinds) = kind.strip_prefix("exec:") {
        return check_transaction(case, kinds, frame);
    }
    let decoder = Decoder::of(list(&case.json["command"]), kind);
    decoder.check(frame, kind, value)?;
    Ok(match kind {
        "error" => How::Error,
        _ if decoder.name == RAW.name => How::Tree,
        _ => How::Typed(vec![decoder.name]),
    })
}

/// Checks EXEC: each part with the decoder of its queued command.
fn check_transaction(case: &Case, kinds: &str, frame: Frame) -> Result<How, String> {
    let parts = frame.elements().map_err(|error| error.to_string())?.ok_or("null for a list")?;
    let pipeline = list(&case.json["pipeline"]);
    let queued = pipeline.iter().skip_while(|command| command[0] != "MULTI").skip(1);
    let values = list(case.value());
    let kinds: Vec<_> = kinds.split(',').collect();
    if parts.len() != values.len() || parts.len() != kinds.len() {
        return Err(format!("{} parts", parts.len()));
    }
    let mut names = Vec::new();
    for (((part, value), kind), command) in parts.into_iter().zip(values).zip(kinds).zip(queued) {
        let decoder = Decoder::of(list(command), kind);
        if value["kind"] != kind {
            return Err(format!("{value} is not of kind {kind}"));
        }
        decoder.check(part, kind, &value["value"])?;
        names.push(decoder.name);
    }
    Ok(How::Typed(names))
}

fn is_string(value: &Value) -> bool {
    value.as_bytes().is_some()
}

fn is_ok(value: &Value) -> bool {
    value.as_bytes() == Some(b"OK")
}

/// Integers, and strings that are integers, as HELLO and INFO send them in RESP2.
fn is_integer(value: &Value) -> bool {
    value.as_integer().is_some() || value.as_str().is_some_and(|text| text.parse::<i64>().is_ok())
}

fn is_array(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Set(_) | Value::Push(_))
}

fn is_array_or_null(value: &Value) -> bool {
    is_array(value) || value.is_null()
}

fn is_map(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Array(_))
}

fn is_map_or_null(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Array(_) | Value::Null)
}
