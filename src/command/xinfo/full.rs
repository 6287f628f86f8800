//! XINFO STREAM FULL: a stream with its entries, groups and consumers. No I/O.

use super::map::Map;
use super::{GroupInfoFull, IdmpInfo, counter, entry_id};
use crate::EntryId;
use crate::command::{Arg, Command, Safety};
use crate::entry::Entries;
use crate::resp::{Args, Cursor, DecodeError, Frame, Value};
use bytes::Bytes;

/// Returns a stream's entries, groups and consumers, and their pending entries.
///
/// `XINFO STREAM key FULL [COUNT n]` (Redis 6.0). The server creates the reply in one step and
/// serves no other client meanwhile. Avoid a large [`XInfoStreamFull::count`], and 0.
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
/// let stream = client.send(XInfoStream::new("orders").full().count(100)).await?;
/// for group in &stream.groups {
///     for consumer in &group.consumers {
///         let (group, consumer, pending) = (&group.name, &consumer.name, consumer.pel_count);
///         println!("{} {}: {pending}", group.escape_ascii(), consumer.escape_ascii());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XInfoStreamFull<'a> {
    key: Arg<'a>,
    count: Option<u64>,
}

impl<'a> XInfoStreamFull<'a> {
    /// Inspects this stream.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into(), count: None }
    }

    /// Sets `COUNT`, the maximum number of entries, and of each list of pending entries. 0 means no
    /// limit; 10 by default.
    ///
    /// Groups and consumers are always complete.
    pub fn count(self, entries: u64) -> Self {
        Self { count: Some(entries), ..self }
    }
}

/// A stream with its entries, groups and consumers.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// let info = client.send(XInfoStream::new("orders").full().count(5)).await?;
/// println!("{} entries in {} nodes", info.length, info.radix_tree_nodes);
/// for entry in &info.entries {
///     println!("{}", entry.id());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamInfoFull {
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
    /// The first entries, oldest first, up to [`XInfoStreamFull::count`].
    pub entries: Entries,
    /// The groups, ordered by name.
    pub groups: Vec<GroupInfoFull>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

impl StreamInfoFull {
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
            entries: map.need("entries", |cursor, _| Entries::decode_at(bytes, cursor))?,
            groups: map.need_list("groups", GroupInfoFull::read)?,
            extra: map.extra(),
        })
    }
}

impl Command for XInfoStreamFull<'_> {
    const NAME: &'static str = "XINFO STREAM";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = StreamInfoFull;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        out.text("FULL");
        if let Some(entries) = self.count {
            out.text("COUNT");
            out.number(entries);
        }
    }

    fn reply(frame: Frame) -> Result<StreamInfoFull, DecodeError> {
        let bytes = frame.into_bytes();
        StreamInfoFull::read(&bytes, &mut Cursor::at(&bytes, 0))
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::XInfoStream;
    use super::super::wire::{maps, orders, reply, with, without};
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    const ENTRIES: &str = "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n\
                           *2\r\n$3\r\n8-1\r\n*2\r\n$1\r\nb\r\n$0\r\n";

    const FIELDS: [(&str, &str); 9] = [
        ("length", ":2"),
        ("radix-tree-keys", ":1"),
        ("radix-tree-nodes", ":3"),
        ("last-generated-id", "$3\r\n9-1"),
        ("max-deleted-entry-id", "$3\r\n5-1"),
        ("entries-added", ":7"),
        ("recorded-first-entry-id", "$3\r\n1-1"),
        ("entries", ENTRIES),
        ("groups", "*0"),
    ];

    fn info() -> StreamInfoFull {
        let bytes = Bytes::from(format!("{ENTRIES}\r\n"));
        let entries = Entries::decode_at(&bytes, &mut Cursor::at(&bytes, 0)).unwrap();
        assert_eq!(entries.len(), 2);
        StreamInfoFull {
            length: 2,
            radix_tree_keys: 1,
            radix_tree_nodes: 3,
            last_generated_id: EntryId::new(9, 1),
            max_deleted_entry_id: Some(EntryId::new(5, 1)),
            entries_added: Some(7),
            recorded_first_entry_id: Some(EntryId::new(1, 1)),
            idmp: None,
            entries,
            groups: vec![],
            extra: vec![],
        }
    }

    #[test]
    fn xinfo_full_and_count_follow_the_key() {
        let full = XInfoStreamFull::new("s");
        let rows = [
            (full.clone(), "XINFO STREAM s FULL"),
            (XInfoStream::new("s").full(), "XINFO STREAM s FULL"),
            (full.clone().count(0), "XINFO STREAM s FULL COUNT 0"),
            (full.count(5).count(7), "XINFO STREAM s FULL COUNT 7"),
        ];
        for (full, expected) in rows {
            assert_eq!(encode(&full), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&full), ["s"]);
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let mut rows = vec![
            (
                with(&FIELDS, "entries", "*0"),
                Some(StreamInfoFull { entries: Entries::default(), ..info() }),
            ),
            (with(&FIELDS, "entries", ":2"), None),
            (with(&FIELDS, "entries", "*1\r\n:2"), None),
            (with(&FIELDS, "groups", ":0"), None),
            (with(&FIELDS, "groups", "_"), None),
            (with(&FIELDS, "groups", "*1\r\n_"), None),
            (with(&FIELDS, "groups", "*1\r\n*0"), None),
            (with(&FIELDS, "last-generated-id", "_"), None),
            (with(&FIELDS, "entries-added", "*0"), None),
            (with(&FIELDS, "length", ":-1"), None),
        ];
        // Redis 6.2 sends fewer fields.
        let (mut old, mut without_new) = (FIELDS.to_vec(), info());
        old.drain(4..7);
        (without_new.max_deleted_entry_id, without_new.entries_added) = (None, None);
        without_new.recorded_first_entry_id = None;
        rows.push((old, Some(without_new)));
        rows.extend(orders(&FIELDS).map(|fields| (fields, Some(info()))));
        let needed = FIELDS[..4].iter().chain(&FIELDS[7..]);
        rows.extend(needed.map(|(name, _)| (without(&FIELDS, name), None)));
        let mut more = vec![("new", "$1\r\nx")];
        more.extend(FIELDS);
        more.push(("iids-added", ":4"));
        let x = Value::Bulk(b"x".to_vec());
        let extra = vec![("new".into(), x), ("iids-added".into(), Value::Integer(4))];
        rows.push((more, Some(StreamInfoFull { extra, ..info() })));
        for (fields, expected) in rows {
            for map in maps(&fields) {
                assert_eq!(reply::<XInfoStreamFull<'_>>(&map).ok(), expected, "{map:?}");
            }
        }
    }

    #[test]
    fn groups_and_idempotence_state_are_decoded() {
        let group = "%5\r\n+name\r\n+g\r\n+last-delivered-id\r\n+1-1\r\n+pel-count\r\n:0\r\n\
                     +pending\r\n*0\r\n+consumers\r\n*0";
        let groups = format!("*2\r\n{group}\r\n{group}");
        let mut fields = with(&FIELDS, "groups", &groups);
        let idmp = ["idmp-duration", "idmp-maxsize", "pids-tracked", "iids-tracked"];
        let numbers = [":1", ":2", ":3", ":4"];
        fields.extend(idmp.into_iter().zip(numbers));
        fields.extend([("iids-added", ":5"), ("iids-duplicates", ":6")]);
        for map in maps(&fields) {
            let info = reply::<XInfoStreamFull<'_>>(&map).unwrap();
            assert_eq!(info.groups.iter().map(|g| &*g.name).collect::<Vec<_>>(), [b"g", b"g"]);
            let idmp = info.idmp.unwrap();
            assert_eq!((idmp.duration.as_secs(), idmp.max_size, idmp.pids_tracked), (1, 2, 3));
            assert_eq!((idmp.iids_tracked, idmp.iids_added, idmp.iids_duplicates), (4, 5, 6));
            assert_eq!(info.extra, []);
        }
    }
}
