//! A group of a stream with its consumers and pending entries. No I/O.

use super::full_consumer::{ConsumerInfoFull, PENDING, delivery};
use super::map::Map;
use super::{counter_or_null, entry_id};
use crate::EntryId;
use crate::command::reply::at_least;
use crate::resp::{Cursor, DecodeError, Value};
use bytes::Bytes;
use std::time::SystemTime;

/// A group with its consumers and pending entries: a part of
/// [`StreamInfoFull`](super::StreamInfoFull).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// for group in client.send(XInfoStream::new("orders").full()).await?.groups {
///     println!("{}: {} consumers", group.name.escape_ascii(), group.consumers.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupInfoFull {
    /// The group's name, any bytes. It shares the buffer of the reply.
    pub name: Bytes,
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
    /// The number of pending entries: delivered and not acknowledged.
    pub pel_count: u64,
    /// The number of entries that XNACK released and that have not been claimed since (Redis 8.8).
    /// `None` on an older server and on Valkey.
    pub nacked_count: Option<u64>,
    /// The first pending entries, ordered by id, up to
    /// [`XInfoStreamFull::count`](super::XInfoStreamFull::count).
    pub pending: Vec<GroupPending>,
    /// The consumers, ordered by name.
    pub consumers: Vec<ConsumerInfoFull>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

impl GroupInfoFull {
    pub(super) fn read<'a>(bytes: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let mut map = Map::read(bytes, cursor, "a group")?;
        Ok(Self {
            name: map.need_bytes("name")?,
            last_delivered_id: map.need("last-delivered-id", entry_id)?,
            entries_read: map.find("entries-read", counter_or_null)?.flatten(),
            lag: map.find("lag", Cursor::integer_or_null)?.flatten(),
            pel_count: map.need("pel-count", Cursor::count)?,
            nacked_count: map.find("nacked-count", Cursor::count)?,
            pending: map.need_list("pending", GroupPending::read)?,
            consumers: map.need_list("consumers", ConsumerInfoFull::read)?,
            extra: map.extra(),
        })
    }
}

/// A pending entry of a group, with its owner.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// for group in client.send(XInfoStream::new("orders").full()).await?.groups {
///     if let Some(oldest) = group.pending.first() {
///         println!("{} with {}", oldest.id, oldest.consumer.escape_ascii());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupPending {
    /// The entry's id. The entry itself may have been deleted.
    pub id: EntryId,
    /// The owner. It is empty for an entry released by XNACK, and also for a consumer whose name is
    /// empty. It shares the buffer of the reply.
    pub consumer: Bytes,
    /// The time of the last delivery, by the server's clock, to the millisecond. `None` for the
    /// Unix time 0, which XNACK leaves and TIME 0 of XCLAIM sets.
    pub delivered: Option<SystemTime>,
    /// The delivery count; [`i64::MAX`] after XNACK FATAL.
    pub deliveries: u64,
}

impl GroupPending {
    fn read<'a>(bytes: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let parts = at_least(4, cursor.array(PENDING)?, PENDING)?;
        let id = entry_id(cursor, "a pending entry's id")?;
        let consumer = bytes.slice_ref(cursor.string("a pending entry's consumer")?);
        let (delivered, deliveries) = delivery(cursor)?;
        (4..parts).for_each(|_| cursor.skip());
        Ok(Self { id, consumer, delivered, deliveries })
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Rows, check, maps, ms, orders, with, without};
    use super::*;
    use std::time::UNIX_EPOCH;

    const GROUP: [(&str, &str); 8] = [
        ("name", "$1\r\ng"),
        ("last-delivered-id", "$3\r\n3-1"),
        ("entries-read", ":4"),
        ("lag", ":5"),
        ("pel-count", ":2"),
        ("nacked-count", ":1"),
        (
            "pending",
            "*2\r\n*4\r\n$3\r\n1-1\r\n$3\r\nann\r\n:1600000000002\r\n:3\r\n\
             *4\r\n$3\r\n2-1\r\n$0\r\n\r\n:0\r\n:9223372036854775807",
        ),
        ("consumers", "*0"),
    ];

    fn g() -> GroupInfoFull {
        let pending = |id, consumer: &'static str, delivered, deliveries| GroupPending {
            id,
            consumer: consumer.into(),
            delivered,
            deliveries,
        };
        let (one, two) = (EntryId::new(1, 1), EntryId::new(2, 1));
        let delivered = Some(UNIX_EPOCH + ms(1_600_000_000_002));
        GroupInfoFull {
            name: "g".into(),
            last_delivered_id: EntryId::new(3, 1),
            entries_read: Some(4),
            lag: Some(5),
            pel_count: 2,
            nacked_count: Some(1),
            pending: vec![
                pending(one, "ann", delivered, 3),
                pending(two, "", None, i64::MAX as u64),
            ],
            consumers: vec![],
            extra: vec![],
        }
    }

    #[test]
    fn group_fields_are_found_by_name() {
        let consumer =
            [("name", "+c"), ("seen-time", ":7"), ("pel-count", ":0"), ("pending", "*0")];
        let [resp2, resp3] = maps(&consumer).map(|map| format!("*1\r\n{}", map.trim_end()));
        let lag = |lag| Some(GroupInfoFull { lag, ..g() });
        let read = |entries_read| Some(GroupInfoFull { entries_read, ..g() });
        let consumer = Bytes::from(maps(&consumer)[0].clone());
        let consumer = ConsumerInfoFull::read(&consumer, &mut Cursor::at(&consumer, 0)).unwrap();
        assert_eq!(consumer.seen_time, UNIX_EPOCH + ms(7));
        let one = Some(GroupInfoFull { consumers: vec![consumer], ..g() });
        let longer = "*1\r\n*6\r\n+1-1\r\n+ann\r\n:-2\r\n:-9223372036854775808\r\n*1\r\n:1\r\n_";
        let pending = GroupPending {
            id: EntryId::new(1, 1),
            consumer: "ann".into(),
            delivered: Some(UNIX_EPOCH - ms(2)),
            deliveries: 1 << 63,
        };
        let mut rows: Rows<'_, _> = vec![
            (with(&GROUP, "consumers", &resp2), one.clone()),
            (with(&GROUP, "consumers", &resp3), one),
            (with(&GROUP, "consumers", "*1\r\n_"), None),
            (with(&GROUP, "consumers", ":0"), None),
            (without(&GROUP, "nacked-count"), Some(GroupInfoFull { nacked_count: None, ..g() })),
            (with(&GROUP, "nacked-count", ":-1"), None),
            (without(&GROUP, "lag"), lag(None)),
            (with(&GROUP, "lag", "_"), lag(None)),
            (with(&GROUP, "lag", "$-1"), lag(None)),
            (with(&GROUP, "lag", ":-97"), lag(Some(-97))),
            (without(&GROUP, "entries-read"), read(None)),
            (with(&GROUP, "entries-read", "_"), read(None)),
            (with(&GROUP, "entries-read", ":-9223372036854775807"), read(Some((1 << 63) + 1))),
            (with(&GROUP, "entries-read", "*0"), None),
            (
                with(&GROUP, "pending", longer),
                Some(GroupInfoFull { pending: vec![pending], ..g() }),
            ),
            (with(&GROUP, "pending", "*1\r\n*3\r\n+1-1\r\n:1\r\n:1"), None),
            (with(&GROUP, "pending", "*1\r\n*4\r\n+1-1\r\n_\r\n:1\r\n:1"), None),
            (with(&GROUP, "pending", "_"), None),
            (with(&GROUP, "last-delivered-id", "_"), None),
            (with(&GROUP, "pel-count", "_"), None),
        ];
        rows.extend(orders(&GROUP).map(|fields| (fields, Some(g()))));
        let needed = ["name", "last-delivered-id", "pel-count", "pending", "consumers"];
        rows.extend(needed.map(|name| (without(&GROUP, name), None)));
        let mut more = vec![("new", "*0")];
        more.extend(GROUP);
        more.push(("newer", ":1"));
        let extra =
            vec![("new".into(), Value::Array(vec![].into())), ("newer".into(), Value::Integer(1))];
        rows.push((more, Some(GroupInfoFull { extra, ..g() })));
        check(rows, |bytes| GroupInfoFull::read(bytes, &mut Cursor::at(bytes, 0)));
    }
}
