//! A consumer of a group with its pending entries. No I/O.

use super::map::Map;
use super::{Active, counter, entry_id, since_1970};
use crate::EntryId;
use crate::command::reply::at_least;
use crate::resp::{Cursor, DecodeError, Value};
use bytes::Bytes;
use std::time::SystemTime;

/// A consumer with its pending entries: a part of [`GroupInfoFull`](super::GroupInfoFull).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// let info = client.send(XInfoStream::new("orders").full()).await?;
/// for consumer in info.groups.iter().flat_map(|group| &group.consumers) {
///     println!("{}, seen at {:?}", consumer.name.escape_ascii(), consumer.seen_time);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConsumerInfoFull {
    /// The consumer's name, any bytes. It shares the buffer of the reply.
    pub name: Bytes,
    /// The time it last read or claimed, or was created, by the server's clock, to the
    /// millisecond. Before Redis 7.2 a call without entries does not count.
    pub seen_time: SystemTime,
    /// The time it last received an entry, by the server's clock, to the millisecond (Redis
    /// 7.2). `None` on an older server.
    pub active_time: Option<Active<SystemTime>>,
    /// The number of its pending entries: delivered to it and not acknowledged.
    pub pel_count: u64,
    /// The first pending entries, ordered by id, up to
    /// [`XInfoStreamFull::count`](super::XInfoStreamFull::count).
    pub pending: Vec<ConsumerPending>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

impl ConsumerInfoFull {
    pub(super) fn read<'a>(bytes: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let mut map = Map::read(bytes, cursor, "a consumer")?;
        Ok(Self {
            name: map.need_bytes("name")?,
            seen_time: map
                .need("seen-time", |cursor, name| since_1970(cursor.integer(name)?, name))?,
            active_time: map
                .find("active-time", |cursor, name| Active::read(cursor, name, since_1970))?,
            pel_count: map.need("pel-count", Cursor::count)?,
            pending: map.need_list("pending", ConsumerPending::read)?,
            extra: map.extra(),
        })
    }
}

/// A pending entry of a consumer.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// let info = client.send(XInfoStream::new("orders").full().count(100)).await?;
/// for pending in info.groups.iter().flat_map(|group| &group.consumers).flat_map(|c| &c.pending) {
///     println!("{} was delivered {} times", pending.id, pending.deliveries);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConsumerPending {
    /// The entry's id. The entry itself may have been deleted.
    pub id: EntryId,
    /// The time of the last delivery, by the server's clock, to the millisecond. `None` for the
    /// Unix time 0, which TIME 0 of XCLAIM sets.
    pub delivered: Option<SystemTime>,
    /// The delivery count; [`i64::MAX`] after XNACK FATAL.
    pub deliveries: u64,
}

impl ConsumerPending {
    fn read<'a>(_: &'a Bytes, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let parts = at_least(3, cursor.array(PENDING)?, PENDING)?;
        let id = entry_id(cursor, "a pending entry's id")?;
        let (delivered, deliveries) = delivery(cursor)?;
        (3..parts).for_each(|_| cursor.skip());
        Ok(Self { id, delivered, deliveries })
    }
}

/// Decodes the time of the last delivery, which is 0 for a released entry, and the delivery count.
pub(super) fn delivery(cursor: &mut Cursor<'_>) -> Result<(Option<SystemTime>, u64), DecodeError> {
    const WHEN: &str = "a pending entry's time of delivery";
    let delivered = match cursor.integer(WHEN)? {
        0 => None,
        ms => Some(since_1970(ms, WHEN)?),
    };
    Ok((delivered, counter(cursor, "a pending entry's number of deliveries")?))
}

pub(super) const PENDING: &str = "a pending entry";

#[cfg(test)]
mod tests {
    use super::super::wire::{Rows, check, ms, orders, with, without};
    use super::*;
    use std::time::UNIX_EPOCH;

    const CONSUMER: [(&str, &str); 5] = [
        ("name", "$3\r\nann"),
        ("seen-time", ":1600000000000"),
        ("active-time", ":1600000000001"),
        ("pel-count", ":2"),
        (
            "pending",
            "*2\r\n*3\r\n$3\r\n1-1\r\n:1600000000002\r\n:3\r\n\
             *3\r\n$3\r\n2-1\r\n:0\r\n:9223372036854775807",
        ),
    ];

    fn at(n: u64) -> SystemTime {
        UNIX_EPOCH + ms(n)
    }

    fn ann() -> ConsumerInfoFull {
        let (one, two) = (EntryId::new(1, 1), EntryId::new(2, 1));
        let delivered = Some(at(1_600_000_000_002));
        ConsumerInfoFull {
            name: "ann".into(),
            seen_time: at(1_600_000_000_000),
            active_time: Some(Active::Last(at(1_600_000_000_001))),
            pel_count: 2,
            pending: vec![
                ConsumerPending { id: one, delivered, deliveries: 3 },
                ConsumerPending { id: two, delivered: None, deliveries: i64::MAX as u64 },
            ],
            extra: vec![],
        }
    }

    #[test]
    fn consumer_fields_are_found_by_name() {
        let active = |active_time| Some(ConsumerInfoFull { active_time, ..ann() });
        let seen = |seen_time| Some(ConsumerInfoFull { seen_time, ..ann() });
        let before = UNIX_EPOCH - ms(2);
        let mut rows: Rows<'_, _> = vec![
            (without(&CONSUMER, "active-time"), active(None)),
            (with(&CONSUMER, "active-time", ":-1"), active(Some(Active::Never))),
            (with(&CONSUMER, "active-time", ":-2"), active(Some(Active::Last(before)))),
            (with(&CONSUMER, "active-time", ":0"), active(Some(Active::Last(UNIX_EPOCH)))),
            (with(&CONSUMER, "active-time", "_"), None),
            (with(&CONSUMER, "seen-time", ":-2"), seen(before)),
            (with(&CONSUMER, "seen-time", "$1\r\n7"), seen(at(7))),
            (with(&CONSUMER, "seen-time", "_"), None),
            (with(&CONSUMER, "pel-count", ":-1"), None),
            (with(&CONSUMER, "pending", "*0"), Some(ConsumerInfoFull { pending: vec![], ..ann() })),
            (with(&CONSUMER, "pending", "_"), None),
            (with(&CONSUMER, "pending", ":2"), None),
            (with(&CONSUMER, "pending", "*1\r\n*2\r\n$3\r\n1-1\r\n:1"), None),
            (with(&CONSUMER, "pending", "*1\r\n*3\r\n$1\r\nx\r\n:1\r\n:1"), None),
            (with(&CONSUMER, "pending", "*1\r\n*3\r\n$3\r\n1-1\r\n_\r\n:1"), None),
            (with(&CONSUMER, "pending", "*1\r\n*3\r\n$3\r\n1-1\r\n:1\r\n*0"), None),
            (with(&CONSUMER, "name", "_"), None),
        ];
        rows.extend(orders(&CONSUMER).map(|fields| (fields, Some(ann()))));
        let needed = ["name", "seen-time", "pel-count", "pending"];
        rows.extend(needed.map(|name| (without(&CONSUMER, name), None)));
        let mut more = vec![("new", "*0")];
        more.extend(CONSUMER);
        more.push(("newer", ":1"));
        let extra =
            vec![("new".into(), Value::Array(vec![].into())), ("newer".into(), Value::Integer(1))];
        rows.push((more, Some(ConsumerInfoFull { extra, ..ann() })));
        check(rows, |bytes| ConsumerInfoFull::read(bytes, &mut Cursor::at(bytes, 0)));
    }
}
