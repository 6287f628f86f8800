//! XINFO STREAM: returns a summary of a stream. No I/O.

use super::map::Map;
use super::{IdmpInfo, XInfoStreamFull, counter, entry_id};
use crate::EntryId;
use crate::command::{Arg, Command, Safety};
use crate::entry::Entry;
use crate::resp::{Args, Cursor, DecodeError, Frame, Value};
use bytes::Bytes;

/// Returns a summary of a stream.
///
/// `XINFO STREAM key` (Redis 5.0). [`XInfoStream::full`] returns the single entries, groups and
/// consumers.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) (`no such key`) when the stream does not exist;
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XInfoStream};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let stream = client.send(XInfoStream::new("orders")).await?;
/// println!("{} entries up to {}", stream.length, stream.last_generated_id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XInfoStream<'a> {
    key: Arg<'a>,
}

impl<'a> XInfoStream<'a> {
    /// Inspects this stream.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into() }
    }

    /// Returns the single entries, groups, consumers and pending entries: `FULL`.
    pub fn full(self) -> XInfoStreamFull<'a> {
        XInfoStreamFull::new(self.key)
    }
}

/// A summary of a stream.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// let info = client.send(XInfoStream::new("orders")).await?;
/// println!("{} entries up to {}", info.length, info.last_generated_id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The number of entries.
    pub length: u64,
    /// The number of keys in the radix tree that stores the entries. Each key leads to a node of
    /// many entries.
    pub radix_tree_keys: u64,
    /// The number of nodes in that tree. Servers count them differently.
    pub radix_tree_nodes: u64,
    /// The largest id that the stream ever had; `0-0` if it never had an entry.
    pub last_generated_id: EntryId,
    /// The largest deleted id (Redis 7.0); `0-0` if none was deleted. `None` on an older server.
    pub max_deleted_entry_id: Option<EntryId>,
    /// The number of entries ever added (Redis 7.0). `None` on an older server.
    pub entries_added: Option<u64>,
    /// The id of the first entry (Redis 7.0); `0-0` if there is none. `None` on an older server.
    pub recorded_first_entry_id: Option<EntryId>,
    /// The state of idempotent adds (Redis 8.6). `None` on an older server and on Valkey.
    pub idmp: Option<IdmpInfo>,
    /// The number of groups.
    pub groups: u64,
    /// The first entry; `None` if the stream is empty.
    pub first_entry: Option<Entry>,
    /// The last entry; `None` if the stream is empty.
    pub last_entry: Option<Entry>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

impl StreamInfo {
    fn read<'a>(bytes: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let mut map = Map::read(bytes, cursor, "a stream")?;
        Ok(Self {
            length: map.need("length", Cursor::count)?,
            radix_tree_keys: map.need("radix-tree-keys", Cursor::count)?,
            radix_tree_nodes: map.need("radix-tree-nodes", Cursor::count)?,
            last_generated_id: map.need("last-generated-id", entry_id)?,
            max_deleted_entry_id: map.find("max-deleted-entry-id", entry_id)?,
            entries_added: map.find("entries-added", counter)?,
            recorded_first_entry_id: map.find("recorded-first-entry-id", entry_id)?,
            idmp: IdmpInfo::read(&mut map)?,
            groups: map.need("groups", Cursor::count)?,
            first_entry: map.need("first-entry", |cursor, _| Entry::decode_at(bytes, cursor))?,
            last_entry: map.need("last-entry", |cursor, _| Entry::decode_at(bytes, cursor))?,
            extra: map.extra(),
        })
    }
}

impl Command for XInfoStream<'_> {
    const NAME: &'static str = "XINFO STREAM";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = StreamInfo;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
    }

    fn reply(frame: Frame) -> Result<StreamInfo, DecodeError> {
        let bytes = frame.into_bytes();
        StreamInfo::read(&bytes, &mut Cursor::at(&bytes, 0))
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(feature = "serde")]
crate::record::serialize_fields!(StreamInfo: length, radix_tree_keys, radix_tree_nodes, last_generated_id, max_deleted_entry_id, entries_added, recorded_first_entry_id, idmp, groups, first_entry, last_entry);

#[cfg(test)]
mod tests {
    use super::super::wire::{maps, orders, reply, with, without};
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use std::time::Duration;

    const FIELDS: [(&str, &str); 16] = [
        ("length", ":2"),
        ("radix-tree-keys", ":1"),
        ("radix-tree-nodes", ":3"),
        ("last-generated-id", "$3\r\n9-1"),
        ("max-deleted-entry-id", "$3\r\n5-1"),
        ("entries-added", ":7"),
        ("recorded-first-entry-id", "$3\r\n1-1"),
        ("idmp-duration", ":100"),
        ("idmp-maxsize", ":50"),
        ("pids-tracked", ":1"),
        ("iids-tracked", ":2"),
        ("iids-added", ":4"),
        ("iids-duplicates", ":6"),
        ("groups", ":8"),
        ("first-entry", "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1"),
        ("last-entry", "*2\r\n$3\r\n8-1\r\n*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$0\r\n"),
    ];

    /// Decodes an entry from wire text.
    fn entry(wire: &str) -> Option<Entry> {
        let bytes = Bytes::from(format!("{wire}\r\n"));
        Entry::decode_at(&bytes, &mut Cursor::at(&bytes, 0)).unwrap()
    }

    fn info() -> StreamInfo {
        StreamInfo {
            length: 2,
            radix_tree_keys: 1,
            radix_tree_nodes: 3,
            last_generated_id: EntryId::new(9, 1),
            max_deleted_entry_id: Some(EntryId::new(5, 1)),
            entries_added: Some(7),
            recorded_first_entry_id: Some(EntryId::new(1, 1)),
            idmp: Some(IdmpInfo {
                duration: Duration::from_secs(100),
                max_size: 50,
                pids_tracked: 1,
                iids_tracked: 2,
                iids_added: 4,
                iids_duplicates: 6,
            }),
            groups: 8,
            first_entry: entry(FIELDS[14].1),
            last_entry: entry(FIELDS[15].1),
            extra: vec![],
        }
    }

    #[test]
    fn key_is_the_only_argument() {
        let stream = XInfoStream::new("s");
        assert_eq!(encode(&stream), encode(&Raw::new("XINFO STREAM s")));
        assert_eq!(listed_keys(&stream), ["s"]);
    }

    #[test]
    fn empty_stream_of_redis_6_2_has_no_optional_fields() {
        // The reply of Redis 6.2.
        const OLD: &str = "$6\r\nlength\r\n:0\r\n$15\r\nradix-tree-keys\r\n:0\r\n\
                           $16\r\nradix-tree-nodes\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n0-0\r\n\
                           $6\r\ngroups\r\n:1\r\n";
        let old = StreamInfo {
            length: 0,
            radix_tree_keys: 0,
            radix_tree_nodes: 1,
            last_generated_id: EntryId::MIN,
            max_deleted_entry_id: None,
            entries_added: None,
            recorded_first_entry_id: None,
            idmp: None,
            groups: 1,
            first_entry: None,
            last_entry: None,
            extra: vec![],
        };
        let rows = [
            (
                format!("*14\r\n{OLD}$11\r\nfirst-entry\r\n$-1\r\n$10\r\nlast-entry\r\n$-1\r\n"),
                Some(old.clone()),
            ),
            (
                format!("%7\r\n{OLD}$11\r\nfirst-entry\r\n_\r\n$10\r\nlast-entry\r\n*-1\r\n"),
                Some(old),
            ),
            (format!("%6\r\n{OLD}$11\r\nfirst-entry\r\n_\r\n"), None),
            (format!("*11\r\n{OLD}_\r\n"), None),
            ("*0\r\n".to_owned(), None),
            ("*-1\r\n".to_owned(), None),
            ("_\r\n".to_owned(), None),
            ("+OK\r\n".to_owned(), None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(reply::<XInfoStream<'_>>(&bytes).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn first_and_last_entry_are_decoded() {
        for map in maps(&FIELDS) {
            let info = reply::<XInfoStream<'_>>(&map).unwrap();
            let (first, last) = (info.first_entry.unwrap(), info.last_entry.unwrap());
            assert_eq!((first.id(), first.get("a")), (EntryId::new(1, 1), Some(&b"1"[..])));
            let fields: Vec<_> = last.fields().collect();
            assert_eq!(last.id(), EntryId::new(8, 1));
            assert_eq!(fields, [(&b"b"[..], &b"2"[..]), (b"c", b"")]);
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let mut rows = vec![
            (with(&FIELDS, "first-entry", "_"), Some(StreamInfo { first_entry: None, ..info() })),
            (with(&FIELDS, "last-entry", "$-1"), Some(StreamInfo { last_entry: None, ..info() })),
            (with(&FIELDS, "first-entry", "*0"), None),
            (with(&FIELDS, "first-entry", "*1\r\n$3\r\n1-1"), None),
            (with(&FIELDS, "first-entry", "*2\r\n$1\r\nx\r\n*0"), None),
            (with(&FIELDS, "last-entry", ":1"), None),
            (
                with(&FIELDS, "entries-added", ":-9223372036854775808"),
                Some(StreamInfo { entries_added: Some(1 << 63), ..info() }),
            ),
            (without(&FIELDS, "entries-added"), Some(StreamInfo { entries_added: None, ..info() })),
            (with(&FIELDS, "entries-added", "_"), None),
            (
                without(&FIELDS, "max-deleted-entry-id"),
                Some(StreamInfo { max_deleted_entry_id: None, ..info() }),
            ),
            (
                with(&FIELDS, "recorded-first-entry-id", "$3\r\n0-0"),
                Some(StreamInfo { recorded_first_entry_id: Some(EntryId::MIN), ..info() }),
            ),
            (with(&FIELDS, "recorded-first-entry-id", ":1"), None),
            (with(&FIELDS, "max-deleted-entry-id", "$1\r\nx"), None),
            (with(&FIELDS, "idmp-duration", ":-1"), None),
            (with(&FIELDS, "iids-duplicates", "_"), None),
            (with(&FIELDS, "length", ":-1"), None),
            (with(&FIELDS, "groups", "*0"), None),
        ];
        rows.extend(orders(&FIELDS).map(|fields| (fields, Some(info()))));
        let needed = FIELDS[..4].iter().chain(&FIELDS[13..]);
        rows.extend(needed.map(|(name, _)| (without(&FIELDS, name), None)));
        let mut more = vec![("new", "*1\r\n%1\r\n+a\r\n+b")];
        more.extend(FIELDS);
        more.push(("newer", ":-1"));
        let (a, b) = (Value::Simple(b"a".to_vec()), Value::Simple(b"b".to_vec()));
        let list = Value::Array(vec![Value::Map(vec![a, b].into())].into());
        let extra = vec![("new".into(), list), ("newer".into(), Value::Integer(-1))];
        rows.push((more, Some(StreamInfo { extra, ..info() })));
        for (fields, expected) in rows {
            for map in maps(&fields) {
                assert_eq!(reply::<XInfoStream<'_>>(&map).ok(), expected, "{map:?}");
            }
        }
    }

    #[test]
    fn incomplete_idempotence_state_is_kept_in_extra() {
        for missing in &FIELDS[7..13] {
            let rest = FIELDS[7..13].iter().filter(|field| *field != missing);
            let extra = rest.map(|(name, value)| {
                let number = value.strip_prefix(':').unwrap().parse().unwrap();
                (Bytes::from_static(name.as_bytes()), Value::Integer(number))
            });
            let expected = StreamInfo { idmp: None, extra: extra.collect(), ..info() };
            for map in maps(&without(&FIELDS, missing.0)) {
                assert_eq!(reply::<XInfoStream<'_>>(&map).as_ref(), Ok(&expected), "{map:?}");
            }
        }
    }
}
