//! The stored entry of a recurring job: its name and recurrence, then the fields of the job. No I/O.
//!
//! `_name`, `_rule`, `_zone`, `_missed`, in this order. The jobs that are added have two headers
//! instead: the name, and the tick.

use super::headers::PREFIX;
use super::origin::leading;
use crate::entry::Fields;

const NAMES: [&str; 4] = ["_name", "_rule", "_zone", "_missed"];

/// The header with the name of the recurring job.
const NAME: &[u8] = b"recurring";

/// The header with the tick, in milliseconds since 1970.
const TICK: &[u8] = b"tick";

/// Returns the fields of the stored entry.
pub(crate) fn stored<'a>(
    name: &'a [u8],
    [rule, zone, missed]: &'a [String; 3],
    own: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
    let values = [name, rule.as_bytes(), zone.as_bytes(), missed.as_bytes()];
    NAMES.into_iter().map(str::as_bytes).zip(values).chain(own)
}

/// Returns the name, the texts of the recurrence, and the job's own fields; `None` if the entry is
/// another one.
pub(crate) fn split(fields: Fields<'_>) -> Option<(&[u8], [&[u8]; 3], Fields<'_>)> {
    let ([name, rule, zone, missed], own) = leading(fields, NAMES)?;
    Some((name, [rule, zone, missed], own))
}

/// Returns the fields of the job of one tick. `tick` is its text.
pub(crate) fn job<'a>(
    name: &'a [u8],
    tick: &'a str,
    own: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Vec<(Vec<u8>, &'a [u8])> {
    let headers = [(NAME, name), (TICK, tick.as_bytes())];
    let headers = headers.into_iter().map(|(name, value)| ([PREFIX, name].concat(), value));
    own.map(|(name, value)| (name.to_vec(), value)).chain(headers).collect()
}
