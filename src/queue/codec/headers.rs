//! Headers: metadata of a job next to its payload. No I/O.
//!
//! A header is a field of the entry with `_h:` before its name. Names that begin with `_` are
//! reserved for the queue, so a payload has no such field.
//!
//! | field | content |
//! |---|---|
//! | `_h:<name>` | a header |
//! | `_` | empty: an entry needs a field, and the payload has none |
//! | other names that begin with `_` | the origin of a dead letter, and the reason |
//! | all others | the payload |

use super::show::show;
use crate::EntryRef;
use std::fmt;

/// The prefix of the queue's own field names.
pub(crate) const RESERVED: u8 = b'_';

/// The prefix of header names.
pub(crate) const PREFIX: &[u8] = b"_h:";

/// The headers of an entry, borrowed from it: its fields named `_h:<name>`.
///
/// ```no_run
/// # async fn f(job: bourn::queue::Job<String>) -> Result<(), Box<dyn std::error::Error>> {
/// // Enqueue::new().header("tenant", "acme")
/// let tenant = job.headers().get("tenant").map(<[u8]>::escape_ascii);
/// println!("{} headers, {tenant:?}", job.headers().len());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'a>(EntryRef<'a>);

impl<'a> Headers<'a> {
    /// Returns the headers of this entry.
    #[must_use]
    pub fn new(entry: EntryRef<'a>) -> Self {
        Self(entry)
    }

    /// Returns the first header with this name, given without `_h:`.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'a [u8]> {
        let name = name.as_ref();
        self.iter().find(|(header, _)| *header == name).map(|(_, value)| value)
    }

    /// Returns names, without `_h:`, and values, in order. A name may repeat.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        self.0.fields().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)))
    }

    /// Returns the number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are no headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.iter(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::codec::tests::entry;

    #[test]
    fn headers_are_the_fields_with_the_prefix() {
        type Rows<'a> = &'a [(&'a [u8], &'a [u8])];
        let rows: [(&str, Rows<'_>, Rows<'_>); 5] = [
            ("no field", &[], &[]),
            ("no header", &[(b"a", b"1"), (b"_", b""), (b"_id", b"1-1"), (b"_h", b"1")], &[]),
            ("one", &[(b"_h:trace", b"x"), (b"a", b"1")], &[(b"trace", b"x")]),
            (
                "one twice, behind the payload",
                &[(b"a", b"1"), (b"_h:n", b"1"), (b"_h:n", b"\xff")],
                &[(b"n", b"1"), (b"n", b"\xff")],
            ),
            (
                "names of any bytes",
                &[(b"_h:", b"1"), (b"_h:\xff", b"2")],
                &[(b"", b"1"), (b"\xff", b"2")],
            ),
        ];
        for (row, fields, expected) in rows {
            let entry = entry(fields.iter().copied());
            let headers = Headers::new(entry.by_ref());
            assert_eq!(headers.iter().collect::<Vec<_>>(), expected, "{row}");
            assert_eq!(
                (headers.len(), headers.is_empty()),
                (expected.len(), expected.is_empty()),
                "{row}"
            );
            for (name, _) in expected {
                let first = expected.iter().find(|(other, _)| other == name);
                assert_eq!(headers.get(name), first.map(|(_, value)| *value), "{row}");
            }
            assert_eq!(headers.get("absent"), None, "{row}");
        }
        let entry = entry([(b"_h:trace".as_slice(), b"\x01".as_slice())]);
        assert_eq!(format!("{:?}", Headers::new(entry.by_ref())), r#"{"trace": "\x01"}"#);
    }
}
