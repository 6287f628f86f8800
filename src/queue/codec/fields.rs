//! The fields of a job to be added: all names and values in one buffer. No I/O.

use super::CodecError;
use super::headers::{PREFIX, RESERVED};
use super::show::show;
use std::fmt;

/// The field of an entry that has no other.
const EMPTY: &[u8] = b"_";

/// The capacity for the first payload, to avoid growing from zero by doubling.
const FIRST_BYTES: usize = 256;

/// The fields of an entry, in the order in which they were added. Names may repeat and need not be
/// UTF-8.
///
/// They take two allocations in total. A cleared list keeps them for the next entry.
///
/// ```
/// use bourn::queue::FieldList;
///
/// let mut fields = FieldList::new();
/// fields.add("user_id", "123")?;
/// assert_eq!(fields.iter().next(), Some((&b"user_id"[..], &b"123"[..])));
/// # Ok::<(), bourn::queue::CodecError>(())
/// ```
#[derive(Clone, Default)]
pub struct FieldList {
    bytes: Vec<u8>,
    /// For each field: the end of its name, and the end of its value.
    ends: Vec<(usize, usize)>,
}

impl FieldList {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    ///
    /// # Errors
    ///
    /// The name begins with `_`; such names are reserved for the queue.
    pub fn add(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), CodecError> {
        self.write(name.as_ref(), |out| {
            out.extend_from_slice(value.as_ref());
            Ok(true)
        })
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds a field whose value is appended to the buffer by `value`. No field is added if that
    /// returns `false` or fails.
    pub(crate) fn write(
        &mut self,
        name: &[u8],
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, CodecError>,
    ) -> Result<(), CodecError> {
        if name.first() == Some(&RESERVED) {
            return Err(CodecError::reserved(name));
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST_BYTES);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        let written = value(&mut self.bytes);
        if let Ok(true) = written {
            self.ends.push((name_end, self.bytes.len()));
        } else {
            self.bytes.truncate(start);
        }
        written.map(drop).map_err(|error| error.in_field(name))
    }

    /// Adds a header.
    pub(crate) fn header(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(PREFIX);
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len()));
    }

    /// Returns the number of fields that were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no field was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the fields as they are sent. An entry needs at least one: an empty list yields the
    /// field `_`, which is not part of the payload.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let mut start = 0;
        let part = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        let fields = self.ends.iter().map(move |&(name_end, end)| {
            let field = (part(start, name_end), part(name_end, end));
            start = end;
            field
        });
        fields.chain(self.is_empty().then_some((EMPTY, [].as_slice())))
    }
}

impl fmt::Debug for FieldList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.iter(), f)
    }
}

#[cfg(feature = "serde")]
impl crate::record::Sink for FieldList {
    fn write(
        &mut self,
        name: &[u8],
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, CodecError>,
    ) -> Result<(), CodecError> {
        Self::write(self, name, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::pairs;
    use super::*;
    use allocation_counter::measure;
    use proptest::prelude::*;

    #[test]
    fn empty_list_is_sent_as_one_field() {
        let mut fields = FieldList::new();
        assert_eq!((fields.len(), fields.is_empty()), (0, true));
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(b"_".as_slice(), b"".as_slice())]);
        fields.add("", "").expect("an empty name is valid");
        assert_eq!((fields.len(), fields.is_empty()), (1, false));
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(b"".as_slice(), b"".as_slice())]);
    }

    #[test]
    fn reserved_name_is_refused_and_changes_nothing() {
        let mut fields = FieldList::new();
        fields.add("a", "1").expect("a name");
        for name in ["_", "_id", "_h:trace", "_a"] {
            let error = fields.add(name, "1").expect_err(name);
            assert_eq!(error.field(), Some(name.as_bytes()));
        }
        fields.add("a_", "2").expect("a name");
        fields.header(b"trace", b"x");
        assert_eq!(format!("{fields:?}"), r#"{"a": "1", "a_": "2", "_h:trace": "x"}"#);
    }

    #[test]
    fn value_that_is_not_written_changes_nothing() {
        let mut fields = FieldList::new();
        let half = |out: &mut Vec<u8>| out.extend_from_slice(b"half");
        fields.add("a", "1").expect("a name");
        fields
            .write(b"b", |out| {
                Ok({
                    half(out);
                    false
                })
            })
            .expect("nothing to write");
        let error = fields.write(b"c", |out| {
            Err({
                half(out);
                CodecError::new("no")
            })
        });
        assert_eq!(error.expect_err("it failed").to_string(), "field c: no");
        fields.add("d", "2").expect("a name");
        assert_eq!(format!("{fields:?}"), r#"{"a": "1", "d": "2"}"#);
    }

    #[test]
    fn cleared_list_allocates_no_more() {
        let mut fields = FieldList::new();
        for (round, allocations) in [("first", 2), ("second", 0)] {
            let info = measure(|| {
                fields.clear();
                for (name, value) in [("user_id", "123"), ("template", "welcome"), ("a", "")] {
                    fields.add(name, value).expect("a name");
                }
                fields.header(b"trace", b"x");
                assert_eq!(fields.iter().count(), 4);
            });
            assert_eq!(info.count_total, allocations, "{round}");
        }
    }

    proptest! {
        #[test]
        fn added_fields_are_sent_unchanged(pairs in pairs(), before in pairs()) {
            let mut fields = FieldList::new();
            for list in [&before, &pairs] {
                fields.clear();
                for (name, value) in list {
                    fields.add(name, value).expect("a name");
                }
            }
            prop_assert_eq!(fields.len(), pairs.len());
            if !pairs.is_empty() {
                let sent: Vec<_> = fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                prop_assert_eq!(sent, pairs);
            }
        }
    }
}
