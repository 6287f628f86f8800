//! Deserializes a serde struct from fields, and each value from the text of one field. No I/O.

use super::CodecError;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::de::SliceRead;
use std::str::FromStr;

/// Reads a struct or a map from fields.
pub(crate) fn deserialize<'de, T: Deserialize<'de>>(
    fields: impl Iterator<Item = (&'de [u8], &'de [u8])>,
) -> Result<T, CodecError> {
    T::deserialize(Whole(fields))
}

/// Deserializes a whole entry: a struct or a map.
struct Whole<I>(I);

impl<'de, I: Iterator<Item = (&'de [u8], &'de [u8])>> Deserializer<'de> for Whole<I> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_map(Access { fields: self.0, value: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The fields in order, with the value of the field whose name was read last.
struct Access<'de, I> {
    fields: I,
    value: Option<(&'de [u8], &'de [u8])>,
}

impl<'de, I: Iterator<Item = (&'de [u8], &'de [u8])>> MapAccess<'de> for Access<'de, I> {
    type Error = CodecError;

    fn next_key_seed<K>(&mut self, seed: K) -> Result<Option<K::Value>, CodecError>
    where
        K: DeserializeSeed<'de>,
    {
        self.value = self.fields.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        let key = seed.deserialize(Text { text: name, inside: true });
        key.map(Some).map_err(|error| error.in_field(name))
    }

    fn next_value_seed<V>(&mut self, seed: V) -> Result<V::Value, CodecError>
    where
        V: DeserializeSeed<'de>,
    {
        let Some((name, text)) = self.value.take() else {
            return Err(CodecError::custom("a value was asked for before its key"));
        };
        seed.deserialize(Text { text, inside: false }).map_err(|error| error.in_field(name))
    }
}

/// Deserializes one value from its text, as the type requests.
struct Text<'de> {
    text: &'de [u8],
    /// Whether the value is in a newtype or in `Some`. An option there is JSON.
    inside: bool,
}

impl<'de> Text<'de> {
    fn str(&self) -> Result<&'de str, CodecError> {
        std::str::from_utf8(self.text).map_err(CodecError::not_utf8)
    }

    fn parse<N: FromStr>(&self, expected: &str) -> Result<N, CodecError> {
        let number = std::str::from_utf8(self.text).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| CodecError::expected(expected, self.text))
    }

    /// Deserializes the value from JSON, which must be the whole text.
    fn json<T>(
        &self,
        read: impl FnOnce(&mut serde_json::Deserializer<SliceRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, CodecError> {
        let mut json = serde_json::Deserializer::from_slice(self.text);
        let value = read(&mut json).map_err(CodecError::unlike_json)?;
        json.end().map_err(CodecError::unlike_json)?;
        Ok(value)
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
            visitor.$visit(self.parse::<$type>(stringify!($type))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = CodecError;

    parsed!(
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
    );

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_bool(self.parse("true or false")?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_char(self.parse("a character")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_str(self.str()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_borrowed_bytes(self.text)
    }

    /// Visits a string, or bytes if the value is not UTF-8.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.str() {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => visitor.visit_borrowed_bytes(self.text),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.inside {
            return self.json(|json| json.deserialize_option(visitor));
        }
        visitor.visit_some(Self { inside: true, ..self })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.text.is_empty() {
            return visitor.visit_unit();
        }
        Err(CodecError::expected("nothing", self.text))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        visitor.visit_newtype_struct(Self { inside: true, ..self })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        // A variant with data is a JSON object with one key. A unit variant is its name, whatever
        // the first character.
        let unit = variants.iter().any(|variant| variant.as_bytes() == self.text);
        if self.text.first() == Some(&b'{') && !unit {
            return self.json(|json| json.deserialize_enum(name, variants, visitor));
        }
        visitor.visit_enum(BorrowedStrDeserializer::new(self.str()?))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.json(|json| json.deserialize_seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.json(|json| json.deserialize_tuple(len, visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.json(|json| json.deserialize_tuple_struct(name, len, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.json(|json| json.deserialize_map(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        self.json(|json| json.deserialize_struct(name, fields, visitor))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_any(visitor)
    }
}
