//! XINFO CONSUMERS: lists the consumers of a group. No I/O.

use super::map::{Map, list};
use super::{Active, until_now};
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame, Value};
use bytes::Bytes;
use std::time::Duration;

/// Lists the consumers of a group.
///
/// `XINFO CONSUMERS key group` (Redis 5.0). The reply is empty if the group has none.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) (`no such key`) when the stream does not exist;
/// [`Code::NoGroup`](crate::Code::NoGroup) when the group does not exist.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XGroupDelConsumer, XInfoConsumers};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// for consumer in client.send(XInfoConsumers::new("orders", "billing")).await? {
///     if consumer.pending == 0 && consumer.idle > DAY {
///         println!("{} has long been gone", consumer.name.escape_ascii());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XInfoConsumers<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
}

impl<'a> XInfoConsumers<'a> {
    /// Lists the consumers of this group of this stream.
    pub fn new(key: impl Into<Arg<'a>>, group: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into(), group: group.into() }
    }
}

/// A consumer of a group.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoConsumers;
///
/// for consumer in client.send(XInfoConsumers::new("orders", "billing")).await? {
///     println!("{}: {} pending", consumer.name.escape_ascii(), consumer.pending);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// The consumer's name, any bytes. It shares the buffer of the reply.
    pub name: Bytes,
    /// The number of its pending entries: delivered to it and not acknowledged.
    pub pending: u64,
    /// The time since it last read or claimed, or was created, to the millisecond; zero if
    /// the server's clock was set back. Before Redis 7.2 a call without entries does not count.
    pub idle: Duration,
    /// The time since it last received an entry, to the millisecond (Redis 7.2); zero if the
    /// server's clock was set back. `None` on an older server.
    pub inactive: Option<Active<Duration>>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

impl ConsumerInfo {
    fn read<'a>(bytes: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let mut map = Map::read(bytes, cursor, "a consumer")?;
        Ok(Self {
            name: map.need_bytes("name")?,
            pending: map.need("pending", Cursor::count)?,
            idle: map.need("idle", Cursor::integer).map(until_now)?,
            inactive: map.find("inactive", |cursor, name| {
                Active::read(cursor, name, |ms, _| Ok(until_now(ms)))
            })?,
            extra: map.extra(),
        })
    }
}

impl Command for XInfoConsumers<'_> {
    const NAME: &'static str = "XINFO CONSUMERS";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<ConsumerInfo>;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
    }

    fn reply(frame: Frame) -> Result<Vec<ConsumerInfo>, DecodeError> {
        let bytes = frame.into_bytes();
        list(&bytes, &mut Cursor::at(&bytes, 0), "consumers", ConsumerInfo::read)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(feature = "serde")]
crate::record::serialize_fields!(ConsumerInfo: name, pending, idle as "idle_ms", inactive as "inactive_ms");

#[cfg(test)]
mod tests {
    use super::super::wire::{maps, ms, orders, reply, with, without};
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    const FIELDS: [(&str, &str); 4] =
        [("name", "$3\r\nann"), ("pending", ":2"), ("idle", ":1500"), ("inactive", ":2500")];

    fn ann() -> ConsumerInfo {
        let inactive = Some(Active::Last(ms(2500)));
        ConsumerInfo { name: "ann".into(), pending: 2, idle: ms(1500), inactive, extra: vec![] }
    }

    #[test]
    fn group_follows_the_key() {
        let consumers = XInfoConsumers::new("s", "g");
        assert_eq!(encode(&consumers), encode(&Raw::new("XINFO CONSUMERS s g")));
        assert_eq!(listed_keys(&consumers), ["s"]);
    }

    #[test]
    fn reply_is_a_list_of_maps() {
        let none = ConsumerInfo {
            name: Bytes::new(),
            pending: 0,
            idle: ms(7),
            inactive: Some(Active::Never),
            extra: vec![],
        };
        const NONE: &str = "$4\r\nname\r\n$0\r\n\r\n$7\r\npending\r\n:0\r\n$4\r\nidle\r\n:7\r\n\
                            $8\r\ninactive\r\n:-1\r\n";
        let rows = [
            ("*0\r\n".to_owned(), Some(vec![])),
            (format!("*1\r\n*8\r\n{NONE}"), Some(vec![none.clone()])),
            (format!("*2\r\n%4\r\n{NONE}{}", maps(&FIELDS)[1]), Some(vec![none, ann()])),
            (format!("*1\r\n*7\r\n{NONE}").replace("$8\r\ninactive\r\n", ""), None),
            ("*1\r\n_\r\n".to_owned(), None),
            ("*1\r\n$3\r\nann\r\n".to_owned(), None),
            (maps(&FIELDS)[1].clone(), None),
            ("*-1\r\n".to_owned(), None),
            ("_\r\n".to_owned(), None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(reply::<XInfoConsumers<'_>>(&bytes).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let idle = |idle| Some(ConsumerInfo { idle, ..ann() });
        let inactive = |inactive| Some(ConsumerInfo { inactive, ..ann() });
        let mut rows = vec![
            (without(&FIELDS, "inactive"), inactive(None)),
            (with(&FIELDS, "inactive", ":-1"), inactive(Some(Active::Never))),
            (with(&FIELDS, "inactive", ":-2"), inactive(Some(Active::Last(ms(0))))),
            (with(&FIELDS, "inactive", ":0"), inactive(Some(Active::Last(ms(0))))),
            (with(&FIELDS, "inactive", "$4\r\n2500"), Some(ann())),
            (with(&FIELDS, "inactive", "_"), None),
            (with(&FIELDS, "idle", ":-1"), idle(ms(0))),
            (with(&FIELDS, "idle", ":9223372036854775807"), idle(ms(i64::MAX as u64))),
            (with(&FIELDS, "idle", "_"), None),
            (without(&FIELDS, "idle"), None),
            (with(&FIELDS, "pending", ":-1"), None),
            (with(&FIELDS, "pending", "*0"), None),
            (without(&FIELDS, "pending"), None),
            (with(&FIELDS, "name", ":1"), None),
            (with(&FIELDS, "name", "_"), None),
            (without(&FIELDS, "name"), None),
        ];
        rows.extend(orders(&FIELDS).map(|fields| (fields, Some(ann()))));
        let mut more = vec![("new", "%1\r\n+a\r\n:1")];
        more.extend(FIELDS);
        more.push(("newer", "$1\r\nx"));
        let map = Value::Map(vec![Value::Simple(b"a".to_vec()), Value::Integer(1)].into());
        let extra = vec![("new".into(), map), ("newer".into(), Value::Bulk(b"x".to_vec()))];
        rows.push((more, Some(ConsumerInfo { extra, ..ann() })));
        for (fields, expected) in rows {
            for map in maps(&fields) {
                let info = reply::<XInfoConsumers<'_>>(&format!("*1\r\n{map}")).ok();
                assert_eq!(info, expected.clone().map(|info| vec![info]), "{map:?}");
            }
        }
    }
}
