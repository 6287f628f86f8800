//! XINFO: inspects streams, groups and consumers. No I/O.
//!
//! | form | type | returns |
//! |---|---|---|
//! | XINFO STREAM | [`XInfoStream`] | [`StreamInfo`] |
//! | XINFO STREAM ... FULL | [`XInfoStreamFull`] | [`StreamInfoFull`] |
//! | XINFO GROUPS | [`XInfoGroups`] | a [`GroupInfo`] for each group |
//! | XINFO CONSUMERS | [`XInfoConsumers`] | a [`ConsumerInfo`] for each consumer |
//! | XINFO HELP | [`XInfoHelp`] | lines of text |
//!
//! The replies are maps, and fields are found by name, in any order. Fields that an older server
//! does not send are `None`. Unknown fields of a later server are kept in `extra`, in order. A
//! reply without a field that every server sends since Redis 6.0 is refused.

mod consumers;
mod full;
mod full_consumer;
mod full_group;
mod groups;
mod help;
mod idmp;
mod map;
mod stream;
#[cfg(test)]
mod wire;

pub use consumers::{ConsumerInfo, XInfoConsumers};
pub use full::{StreamInfoFull, XInfoStreamFull};
pub use full_consumer::{ConsumerInfoFull, ConsumerPending};
pub use full_group::{GroupInfoFull, GroupPending};
pub use groups::{GroupInfo, XInfoGroups};
pub use help::XInfoHelp;
pub use idmp::IdmpInfo;
pub use stream::{StreamInfo, XInfoStream};

use super::reply::{counter, counter_or_null, id};
use crate::EntryId;
use crate::resp::{Cursor, DecodeError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time at which a consumer last received an entry, or that it never did.
///
/// Being delivered an entry or claiming one counts; a read without entries does not.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Active, XInfoConsumers};
///
/// for consumer in client.send(XInfoConsumers::new("orders", "billing")).await? {
///     match consumer.inactive {
///         Some(Active::Last(ago)) => println!("last entry {ago:?} ago"),
///         Some(Active::Never) => println!("never had an entry"),
///         None => println!("a server before 7.2"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Active<T> {
    /// The consumer has not received an entry yet.
    Never,
    /// The last time that it received one: a [`SystemTime`], or a [`Duration`] until now.
    Last(T),
}

impl<T> Active<T> {
    /// Returns the last time that it received an entry; `None` if it never did.
    #[must_use]
    pub fn last(self) -> Option<T> {
        if let Self::Last(time) = self { Some(time) } else { None }
    }

    /// Decodes milliseconds, or -1 for never.
    fn read(
        cursor: &mut Cursor<'_>,
        name: &'static str,
        last: impl FnOnce(i64, &'static str) -> Result<T, DecodeError>,
    ) -> Result<Self, DecodeError> {
        match cursor.integer(name)? {
            -1 => Ok(Self::Never),
            ms => last(ms, name).map(Self::Last),
        }
    }
}

fn entry_id(cursor: &mut Cursor<'_>, name: &'static str) -> Result<EntryId, DecodeError> {
    id(cursor.string(name)?)
}

/// Returns milliseconds until now. If the clock was set back they are negative, which counts as
/// zero.
fn until_now(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// Returns the time that is `ms` milliseconds after 1970.
fn since_1970(ms: i64, expected: &'static str) -> Result<SystemTime, DecodeError> {
    let distance = Duration::from_millis(ms.unsigned_abs());
    let before = ms.is_negative();
    let time =
        if before { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.ok_or_else(|| DecodeError::new(expected, "a time too far away"))
}

/// Serializes `Never` as null.
#[cfg(feature = "serde")]
impl<T: crate::record::Field + Copy> crate::record::Field for Active<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::record::Field::serialize(&self.last(), serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::wire::ms;
    use super::*;

    #[test]
    fn times_may_precede_1970_and_negative_idle_times_are_zero() {
        let rows = [
            (0, Some(UNIX_EPOCH), ms(0)),
            (1500, Some(UNIX_EPOCH + ms(1500)), ms(1500)),
            (-1500, Some(UNIX_EPOCH - ms(1500)), ms(0)),
            (i64::MAX, UNIX_EPOCH.checked_add(ms(i64::MAX as u64)), ms(i64::MAX as u64)),
            (i64::MIN, UNIX_EPOCH.checked_sub(ms(1 << 63)), ms(0)),
        ];
        for (n, time, idle) in rows {
            assert_eq!(since_1970(n, "a time").ok(), time, "{n}");
            assert_eq!(until_now(n), idle, "{n}");
        }
    }
}
