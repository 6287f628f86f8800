//! What a stream remembers against adding twice. Pure.

use super::map::Map;
use crate::resp::{Cursor, DecodeError};
use std::time::Duration;

/// What a stream remembers so that an entry is not added twice: pairs of a producer's id and the entry's own (`IDMP` and
/// `IDMPAUTO` of XADD; Redis 8.6).
///
/// A server that says only some of this says it in `extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdmpInfo {
    /// How long a pair is remembered, in whole seconds.
    pub duration: Duration,
    /// How many pairs are remembered for each producer at the most.
    pub max_size: u64,
    /// How many producers have pairs that are remembered.
    pub pids_tracked: u64,
    /// How many pairs are remembered, of all producers. Some of them may have run out.
    pub iids_tracked: u64,
    /// How many pairs were ever remembered.
    pub iids_added: u64,
    /// How many times a pair came again, and nothing was added.
    pub iids_duplicates: u64,
}

impl IdmpInfo {
    /// Takes the six fields, if they are all there.
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
