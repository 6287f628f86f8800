//! The state of a stream's idempotent adds. No I/O.

use super::map::Map;
use crate::resp::{Cursor, DecodeError};
use std::time::Duration;

/// The state of a stream's idempotent adds: remembered pairs of producer id and iid (`IDMP` and
/// `IDMPAUTO` of XADD; Redis 8.6).
///
/// If a server sends only some of these fields, they are in `extra`.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XInfoStream;
///
/// if let Some(idmp) = client.send(XInfoStream::new("orders")).await?.idmp {
///     println!("{} of {} adds were duplicates", idmp.iids_duplicates, idmp.iids_added);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdmpInfo {
    /// The time that a pair is remembered, in whole seconds.
    pub duration: Duration,
    /// The maximum number of pairs remembered for each producer.
    pub max_size: u64,
    /// The number of producers with remembered pairs.
    pub pids_tracked: u64,
    /// The number of pairs remembered, of all producers. Some of them may have expired.
    pub iids_tracked: u64,
    /// The number of pairs ever remembered.
    pub iids_added: u64,
    /// The number of times that a pair was repeated and nothing was added.
    pub iids_duplicates: u64,
}

impl IdmpInfo {
    /// Takes the six fields from the map, if all are present.
    pub(super) fn read(map: &mut Map<'_>) -> Result<Option<Self>, DecodeError> {
        let (idmp, pids) = (["idmp-duration", "idmp-maxsize"], ["pids-tracked"]);
        let iids = ["iids-tracked", "iids-added", "iids-duplicates"];
        if !(map.has(&idmp) && map.has(&pids) && map.has(&iids)) {
            return Ok(None);
        }
        Ok(Some(Self {
            duration: map.need("idmp-duration", Cursor::count).map(Duration::from_secs)?,
            max_size: map.need("idmp-maxsize", Cursor::count)?,
            pids_tracked: map.need("pids-tracked", Cursor::count)?,
            iids_tracked: map.need("iids-tracked", Cursor::count)?,
            iids_added: map.need("iids-added", Cursor::count)?,
            iids_duplicates: map.need("iids-duplicates", Cursor::count)?,
        }))
    }
}

#[cfg(feature = "serde")]
crate::record::serialize_fields!(IdmpInfo: duration as "duration_ms", max_size, pids_tracked, iids_tracked, iids_added, iids_duplicates);
