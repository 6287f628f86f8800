//! Strings and integers as `cases.json` writes them.
//!
//! | JSON | meaning |
//! |---|---|
//! | `"text"` | these bytes |
//! | `{"hex": "0d0a"}` | bytes that are not printable text |
//! | `{"len": n, "sha256": "..."}` | bytes too long to be recorded |
//! | `7`, `{"int": "9007199254740993"}` | an integer |

use bourn::EntryId;
use sha2::{Digest, Sha256};

pub(crate) type Json = serde_json::Value;

/// Returns the values of a list; none if it is something else.
pub(crate) fn list(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the values of a list of exactly this length.
pub(crate) fn tuple<const N: usize>(json: &Json) -> Option<&[Json; N]> {
    list(json).try_into().ok()
}

/// Whether these are the bytes of the string.
pub(crate) fn is_bytes(json: &Json, bytes: &[u8]) -> bool {
    if let Some(text) = json.as_str() {
        return text.as_bytes() == bytes;
    }
    if let Some(text) = json["hex"].as_str() {
        return text == hex(bytes);
    }
    let len = json["len"].as_u64() == Some(bytes.len() as u64);
    len && json["sha256"].as_str() == Some(&hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the integer, if it fits 64 bits.
pub(crate) fn integer(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json["int"].as_str()?.parse().ok())
}

/// Like [`integer`], and not negative.
pub(crate) fn count(json: &Json) -> Option<u64> {
    integer(json).and_then(|n| u64::try_from(n).ok())
}

/// Returns the entry id, parsed without the crate.
pub(crate) fn id(json: &Json) -> Option<EntryId> {
    let (ms, seq) = json.as_str()?.split_once('-')?;
    Some(EntryId::new(ms.parse().ok()?, seq.parse().ok()?))
}
