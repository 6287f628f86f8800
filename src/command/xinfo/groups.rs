//! XINFO GROUPS: lists the groups of a stream. No I/O.

use super::map::{Map, list};
use super::{counter_or_null, entry_id};
use crate::EntryId;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame, Value};
use bytes::Bytes;

/// Lists the groups of a stream.
///
/// `XINFO GROUPS key` (Redis 5.0). The reply is empty if the stream has none.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) (`no such key`) when the stream does not exist;
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XInfoGroups};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// for group in client.send(XInfoGroups::new("orders")).await? {
///     println!("{}: {:?} to come", group.name.escape_ascii(), group.lag);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XInfoGroups<'a> {
    key: Arg<'a>,
}

impl<'a> XInfoGroups<'a> {
    /// Lists the groups of this stream.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into() }
    }
}

/// A group of a stream.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoGroups;
///
/// for group in client.send(XInfoGroups::new("orders")).await? {
///     println!("{}: lag {:?}, {} pending", group.name.escape_ascii(), group.lag, group.pending);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// The group's name, any bytes. It shares the buffer of the reply.
    pub name: Bytes,
    /// The number of consumers.
    pub consumers: u64,
    /// The number of pending entries: delivered and not acknowledged.
    pub pending: u64,
    /// The largest id delivered; reads continue above it. `0-0` if the group reads from the
    /// beginning.
    pub last_delivered_id: EntryId,
    /// The number of entries read, counted from the first of the stream (Redis 7.0). `None` if the
    /// server does not know it, as for a group that was created or moved to the middle of the
    /// stream, and on an older server.
    pub entries_read: Option<u64>,
    /// The number of entries not yet delivered to the group (Redis 7.0). `None` if the server does
    /// not know it, as after a deletion of such entries, and on an older server.
    ///
    /// Negative if ENTRIESREAD was set higher than the number of entries: Redis 7.0 to 7.4, and
    /// Valkey.
    pub lag: Option<i64>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

impl GroupInfo {
    fn read<'a>(bytes: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let mut map = Map::read(bytes, cursor, "a group")?;
        Ok(Self {
            name: map.need_bytes("name")?,
            consumers: map.need("consumers", Cursor::count)?,
            pending: map.need("pending", Cursor::count)?,
            last_delivered_id: map.need("last-delivered-id", entry_id)?,
            entries_read: map.find("entries-read", counter_or_null)?.flatten(),
            lag: map.find("lag", Cursor::integer_or_null)?.flatten(),
            extra: map.extra(),
        })
    }
}

impl Command for XInfoGroups<'_> {
    const NAME: &'static str = "XINFO GROUPS";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<GroupInfo>;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
    }

    fn reply(frame: Frame) -> Result<Vec<GroupInfo>, DecodeError> {
        let bytes = frame.into_bytes();
        list(&bytes, &mut Cursor::at(&bytes, 0), "groups", GroupInfo::read)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(feature = "serde")]
crate::record::serialize_fields!(GroupInfo: name, consumers, pending, last_delivered_id, entries_read, lag);

#[cfg(test)]
mod tests {
    use super::super::wire::{maps, orders, reply, with, without};
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    const FIELDS: [(&str, &str); 6] = [
        ("name", "$1\r\ng"),
        ("consumers", ":2"),
        ("pending", ":3"),
        ("last-delivered-id", "$3\r\n3-1"),
        ("entries-read", ":4"),
        ("lag", ":5"),
    ];

    fn g() -> GroupInfo {
        GroupInfo {
            name: "g".into(),
            consumers: 2,
            pending: 3,
            last_delivered_id: EntryId::new(3, 1),
            entries_read: Some(4),
            lag: Some(5),
            extra: vec![],
        }
    }

    #[test]
    fn key_is_the_only_argument() {
        let groups = XInfoGroups::new("s");
        assert_eq!(encode(&groups), encode(&Raw::new("XINFO GROUPS s")));
        assert_eq!(listed_keys(&groups), ["s"]);
    }

    #[test]
    fn reply_is_a_list_of_maps() {
        // The reply of Redis 6.2.
        const OLD: &str = "$4\r\nname\r\n$0\r\n\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n:0\r\n\
                           $17\r\nlast-delivered-id\r\n$3\r\n0-0\r\n";
        let old = GroupInfo {
            name: Bytes::new(),
            consumers: 0,
            pending: 0,
            last_delivered_id: EntryId::MIN,
            entries_read: None,
            lag: None,
            extra: vec![],
        };
        let rows = [
            ("*0\r\n".to_owned(), Some(vec![])),
            (format!("*1\r\n*8\r\n{OLD}"), Some(vec![old.clone()])),
            (format!("*2\r\n%4\r\n{OLD}{}", maps(&FIELDS)[1]), Some(vec![old, g()])),
            (format!("*1\r\n*7\r\n{OLD}").replace("$3\r\n0-0\r\n", ""), None),
            ("*1\r\n_\r\n".to_owned(), None),
            (maps(&FIELDS)[1].clone(), None),
            ("*-1\r\n".to_owned(), None),
            ("_\r\n".to_owned(), None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(reply::<XInfoGroups<'_>>(&bytes).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let lag = |lag| Some(GroupInfo { lag, ..g() });
        let read = |entries_read| Some(GroupInfo { entries_read, ..g() });
        let mut rows = vec![
            (without(&FIELDS, "lag"), lag(None)),
            (with(&FIELDS, "lag", "_"), lag(None)),
            (with(&FIELDS, "lag", "$-1"), lag(None)),
            (with(&FIELDS, "lag", "*-1"), lag(None)),
            (with(&FIELDS, "lag", ":-97"), lag(Some(-97))),
            (with(&FIELDS, "lag", "*0"), None),
            (without(&FIELDS, "entries-read"), read(None)),
            (with(&FIELDS, "entries-read", "_"), read(None)),
            (with(&FIELDS, "entries-read", "$-1"), read(None)),
            (with(&FIELDS, "entries-read", ":-9223372036854775808"), read(Some(1 << 63))),
            (with(&FIELDS, "entries-read", "$1\r\nx"), None),
            (with(&FIELDS, "last-delivered-id", "$1\r\nx"), None),
            (with(&FIELDS, "last-delivered-id", ":3"), None),
            (with(&FIELDS, "last-delivered-id", "_"), None),
            (without(&FIELDS, "last-delivered-id"), None),
            (with(&FIELDS, "pending", ":-1"), None),
            (without(&FIELDS, "pending"), None),
            (with(&FIELDS, "consumers", "*0"), None),
            (without(&FIELDS, "consumers"), None),
            (with(&FIELDS, "name", "_"), None),
            (without(&FIELDS, "name"), None),
        ];
        rows.extend(orders(&FIELDS).map(|fields| (fields, Some(g()))));
        let mut more = vec![("new", "*2\r\n:1\r\n:2")];
        more.extend(FIELDS);
        more.push(("newer", "_"));
        let list = Value::Array(vec![Value::Integer(1), Value::Integer(2)].into());
        let extra = vec![("new".into(), list), ("newer".into(), Value::Null)];
        rows.push((more, Some(GroupInfo { extra, ..g() })));
        for (fields, expected) in rows {
            for map in maps(&fields) {
                let info = reply::<XInfoGroups<'_>>(&format!("*1\r\n{map}")).ok();
                assert_eq!(info, expected.clone().map(|info| vec![info]), "{map:?}");
            }
        }
    }
}
