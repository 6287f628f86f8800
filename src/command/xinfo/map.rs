//! Maps in a reply, with fields found by name. No I/O.

use crate::command::reply::tree;
use crate::resp::{Cursor, DecodeError, Value};
use bytes::Bytes;

/// A map in a reply: each field's name and the position of its value. `bytes` is the whole reply.
pub(super) struct Map<'a> {
    bytes: &'a Bytes,
    fields: Vec<(&'a [u8], usize)>,
}

impl<'a> Map<'a> {
    /// Decodes the map at the cursor's position.
    pub(super) fn read(
        bytes: &'a Bytes,
        cursor: &mut Cursor<'a>,
        expected: &'static str,
    ) -> Result<Self, DecodeError> {
        let pairs = cursor.pairs(expected)?;
        let mut field = || {
            let name = cursor.string("a field's name")?;
            let value = cursor.position();
            cursor.skip();
            Ok((name, value))
        };
        let fields = (0..pairs).map(|_| field()).collect::<Result<_, _>>()?;
        Ok(Self { bytes, fields })
    }

    /// Takes an optional field, which not every server sends.
    pub(super) fn find<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Cursor<'a>, &'static str) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let place = self.fields.iter().position(|(field, _)| *field == name.as_bytes());
        let Some(place) = place else { return Ok(None) };
        let (_, value) = self.fields.remove(place);
        read(&mut Cursor::at(self.bytes, value), name).map(Some)
    }

    /// Takes a required field, which every server sends.
    pub(super) fn need<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Cursor<'a>, &'static str) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.find(name, read)?.ok_or_else(|| DecodeError::new(name, "a map without it"))
    }

    /// Takes a string field, which shares the buffer of the reply.
    pub(super) fn need_bytes(&mut self, name: &'static str) -> Result<Bytes, DecodeError> {
        let bytes = self.bytes;
        self.need(name, |cursor, name| Ok(bytes.slice_ref(cursor.string(name)?)))
    }

    /// Takes an array field.
    pub(super) fn need_list<T>(
        &mut self,
        name: &'static str,
        one: fn(&'a Bytes, &mut Cursor<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let bytes = self.bytes;
        self.need(name, |cursor, name| list(bytes, cursor, name, one))
    }

    /// Whether all of these fields are present.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.fields.iter().any(|(field, _)| *field == name.as_bytes()))
    }

    /// Returns the fields that were not taken.
    pub(super) fn extra(self) -> Vec<(Bytes, Value)> {
        let value = |at| tree(self.bytes, &mut Cursor::at(self.bytes, at));
        self.fields.iter().map(|(name, at)| (self.bytes.slice_ref(name), value(*at))).collect()
    }
}

/// Decodes the array at the cursor's position; `bytes` is the whole reply.
pub(super) fn list<'a, T>(
    bytes: &'a Bytes,
    cursor: &mut Cursor<'a>,
    expected: &'static str,
    one: fn(&'a Bytes, &mut Cursor<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let len = cursor.array(expected)?;
    (0..len).map(|_| one(bytes, cursor)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::wire::maps;
    use super::*;

    #[test]
    fn map_fields_are_taken_once_and_the_rest_keeps_its_order() {
        for bytes in maps(&[("b", ":2"), ("z", "*1\r\n+x"), ("a", ":1"), ("", "_"), ("a", ":3")]) {
            let bytes = Bytes::from(bytes);
            let mut map = Map::read(&bytes, &mut Cursor::at(&bytes, 0), "a map").unwrap();
            assert!(map.has(&["a", "b"]) && !map.has(&["a", "c"]));
            assert_eq!(map.need("a", Cursor::integer), Ok(1));
            assert_eq!(map.find("b", Cursor::integer), Ok(Some(2)));
            assert_eq!(map.find("b", Cursor::integer), Ok(None));
            let error = map.need("c", Cursor::integer).unwrap_err();
            assert_eq!(error.to_string(), "expected c, got a map without it");
            let list = Value::Array(vec![Value::Simple(b"x".to_vec())].into());
            let rest = [("z", list), ("", Value::Null), ("a", Value::Integer(3))];
            assert_eq!(map.extra(), rest.map(|(name, value)| (name.into(), value)));
        }
    }

    #[test]
    fn maps_without_string_keys_are_refused() {
        for bytes in [
            "*3\r\n+a\r\n:1\r\n+b\r\n",
            "%1\r\n:1\r\n:1\r\n",
            "%1\r\n_\r\n:1\r\n",
            "_\r\n",
            ":1\r\n",
        ] {
            let bytes = Bytes::from(bytes);
            assert!(Map::read(&bytes, &mut Cursor::at(&bytes, 0), "a map").is_err(), "{bytes:?}");
        }
    }
}
