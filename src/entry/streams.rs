//! The entries of several streams: what XREAD and XREADGROUP answer. Pure.

use super::{Entries, Entry, EntryRef, index};
use crate::resp::{Cursor, DecodeError, Frame, Token};
use bytes::Bytes;

/// The streams of a reply, in the order of the reply, each with its entries.
///
/// Streams with nothing to read are left out; only this consumer's own pending entries, asked for by id, come as a stream
/// without entries. A key that was named twice comes twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Streams {
    /// The first one apart, so that a reply of one stream needs no list.
    first: Option<StreamEntries>,
    rest: Vec<StreamEntries>,
}

/// One stream of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEntries {
    key: Bytes,
    entries: Entries,
}

impl StreamEntries {
    /// The stream's key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The stream's entries.
    #[must_use]
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The stream's entries, without the rest of the reply's streams.
    #[must_use]
    pub fn into_entries(self) -> Entries {
        self.entries
    }
}

impl Streams {
    /// Whether there is no entry in any stream: nothing new, or the time is over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams().all(|stream| stream.entries.is_empty())
    }

    /// How many entries there are in all streams together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams().map(|stream| stream.entries.len()).sum()
    }

    /// The streams, in the order of the reply.
    pub fn streams(&self) -> impl Iterator<Item = &StreamEntries> {
        self.first.iter().chain(&self.rest)
    }

    /// All entries of all streams.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.streams().flat_map(|stream| &stream.entries)
    }

    /// The entries of this stream; `None` if it is not in the reply. Of a key named twice, the first.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Entries> {
        let key = key.as_ref();
        self.streams().find(|stream| stream.key() == key).map(StreamEntries::entries)
    }

    /// The streams, to take apart.
    pub fn into_streams(self) -> impl Iterator<Item = StreamEntries> {
        self.first.into_iter().chain(self.rest)
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, DecodeError> {
        let bytes = frame.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        let (count, flat) = match cursor.value("streams")? {
            Token::Null => return Ok(Self::default()),
            Token::Map(n) => (n, true),
            Token::Array(n) => (n, false),
            other => return Err(DecodeError::new("streams", other.kind())),
        };
        let mut streams = Self::default();
        for i in 0..count {
            // RESP3 has key and entries by turns, RESP2 an array of both.
            if !flat && cursor.array("a stream")? != 2 {
                return Err(DecodeError::new("a stream", "an array of other than two values"));
            }
            let key = cursor.string("a stream's key")?;
            let key = bytes.slice_ref(key);
            let (entries, end) = index::read(&bytes, cursor.position())?;
            cursor = Cursor::at(&bytes, end);
            let stream = StreamEntries { key, entries };
            if i == 0 {
                streams.first = Some(stream);
            } else {
                streams.rest.reserve_exact(if i == 1 {
                    (count - 1).min(bytes.len() / 8)
                } else {
                    0
                });
                streams.rest.push(stream);
            }
        }
        Ok(streams)
    }
}

impl Entries {
    pub(crate) fn decode(frame: Frame) -> Result<Self, DecodeError> {
        let bytes = frame.into_bytes();
        index::read(&bytes, 0).map(|(entries, _)| entries)
    }

    /// The entries at the cursor's place in a larger reply, of which `bytes` are all.
    pub(crate) fn decode_at(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let (entries, end) = index::read(bytes, cursor.position())?;
        cursor.set_position(end);
        Ok(entries)
    }
}

impl Entry {
    /// The one entry at the cursor's place in a larger reply, of which `bytes` are all; `None` for null.
    ///
    /// It is copied out of there, as an array of one: what indexes a batch is too hot to be given a second way in, which
    /// was measured to cost every batch up to 7 % more instructions.
    pub(crate) fn decode_at(
        bytes: &Bytes,
        cursor: &mut Cursor<'_>,
    ) -> Result<Option<Self>, DecodeError> {
        let start = cursor.position();
        cursor.skip();
        let entry = bytes.get(start..cursor.position()).unwrap_or_default();
        let (entries, _) = index::read(&Bytes::from([b"*1\r\n", entry].concat()), 0)?;
        Ok(entries.first().map(Self::from))
    }
}
