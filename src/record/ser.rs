//! Serializes a serde struct as fields, and each value as the text of one field. No I/O.

use super::CodecError;
use serde::Serialize;
use serde::ser::{Impossible, SerializeMap, SerializeStruct, Serializer};
use std::fmt::Display;
use std::io::Write;

/// A destination for fields.
pub(crate) trait Sink {
    /// Adds a field whose value is appended to the buffer by `value`. No field is added if that
    /// returns `false` or fails.
    fn write(
        &mut self,
        name: &[u8],
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, CodecError>,
    ) -> Result<(), CodecError>;
}

/// Adds the fields of a struct or a map.
pub(crate) fn serialize<T>(value: &T, fields: &mut impl Sink) -> Result<(), CodecError>
where
    T: Serialize + ?Sized,
{
    value.serialize(Whole(fields))
}

/// Adds the value of one field; nothing if it is `None`.
fn add<T>(fields: &mut impl Sink, name: &[u8], value: &T) -> Result<(), CodecError>
where
    T: Serialize + ?Sized,
{
    fields.write(name, |out| match value.serialize(Text { out, inside: false }) {
        Ok(written) => Ok(written),
        Err(Unwritten::Nested) => {
            serde_json::to_writer(out, value).map_err(CodecError::not_json)?;
            Ok(true)
        }
        Err(Unwritten::Wrong(error)) => Err(error),
    })
}

/// The reason why a value is not written as text.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    /// The value is compound and must be written as JSON. Nothing was written yet.
    #[error("nested")]
    Nested,
    #[error(transparent)]
    Wrong(#[from] CodecError),
}

impl serde::ser::Error for Unwritten {
    fn custom<T: Display>(what: T) -> Self {
        Self::Wrong(serde::ser::Error::custom(what))
    }
}

/// Serializes the whole payload: a struct or a map.
struct Whole<'a, F>(&'a mut F);

type Never = Impossible<(), CodecError>;

/// Rejects types that have no fields.
macro_rules! not_whole {
    ($($method:ident($($arg:ty),*) -> $ok:ty, $what:literal;)*) => {$(
        fn $method(self, $(_: $arg),*) -> Result<$ok, CodecError> {
            Err(CodecError::new(concat!("expected a struct or a map, got ", $what)))
        }
    )*};
}

impl<'a, F: Sink> Serializer for Whole<'a, F> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Map<'a, F>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Never;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, CodecError> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a, F>, CodecError> {
        Ok(Map { fields: self.0, name: Vec::new() })
    }

    fn serialize_unit(self) -> Result<(), CodecError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CodecError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CodecError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), CodecError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), CodecError> {
        self.serialize_unit_variant(name, 0, variant)
    }

    not_whole! {
        serialize_bool(bool) -> (), "a boolean";
        serialize_i8(i8) -> (), "a number";
        serialize_i16(i16) -> (), "a number";
        serialize_i32(i32) -> (), "a number";
        serialize_i64(i64) -> (), "a number";
        serialize_i128(i128) -> (), "a number";
        serialize_u8(u8) -> (), "a number";
        serialize_u16(u16) -> (), "a number";
        serialize_u32(u32) -> (), "a number";
        serialize_u64(u64) -> (), "a number";
        serialize_u128(u128) -> (), "a number";
        serialize_f32(f32) -> (), "a number";
        serialize_f64(f64) -> (), "a number";
        serialize_char(char) -> (), "a character";
        serialize_str(&str) -> (), "a string";
        serialize_bytes(&[u8]) -> (), "bytes";
        serialize_none() -> (), "nothing";
        serialize_seq(Option<usize>) -> Self::SerializeSeq, "a sequence";
        serialize_tuple(usize) -> Self::SerializeTuple, "a tuple";
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct, "a tuple";
        serialize_unit_variant(&'static str, u32, &'static str) -> (), "an enum";
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant, "an enum";
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant, "an enum";
    }
}

impl<F: Sink> SerializeStruct for Whole<'_, F> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<(), CodecError>
    where
        T: Serialize + ?Sized,
    {
        add(self.0, name.as_bytes(), value)
    }

    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

/// Writes a map's keys as field names. A key can be any type that is written as text.
struct Map<'a, F> {
    fields: &'a mut F,
    name: Vec<u8>,
}

impl<F: Sink> SerializeMap for Map<'_, F> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CodecError> {
        self.name.clear();
        match key.serialize(Text { out: &mut self.name, inside: true }) {
            Ok(_) => Ok(()),
            Err(Unwritten::Nested) => Err(CodecError::new("a key must be a text or a number")),
            Err(Unwritten::Wrong(error)) => Err(error),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        add(self.fields, &self.name, value)
    }

    fn end(self) -> Result<(), CodecError> {
        Ok(())
    }
}

/// Serializes one value as text. Returns whether there is a value: `false` for `None`.
struct Text<'a> {
    out: &'a mut Vec<u8>,
    /// Whether the value is in a newtype or in `Some`, where an omitted field would be ambiguous.
    inside: bool,
}

impl Text<'_> {
    fn print(self, value: impl Display) -> Result<bool, Unwritten> {
        let failed = |error| CodecError::caused_by("cannot be printed", error);
        write!(self.out, "{value}").map_err(failed)?;
        Ok(true)
    }

    fn bytes(self, value: &[u8]) -> Result<bool, Unwritten> {
        self.out.extend_from_slice(value);
        Ok(true)
    }
}

macro_rules! printed {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<bool, Unwritten> {
            self.print(value)
        }
    )*};
}

macro_rules! nested {
    ($($method:ident($($arg:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $arg),*) -> Result<$ok, Unwritten> {
            Err(Unwritten::Nested)
        }
    )*};
}

impl Serializer for Text<'_> {
    type Ok = bool;
    type Error = Unwritten;
    type SerializeSeq = Impossible<bool, Unwritten>;
    type SerializeTuple = Impossible<bool, Unwritten>;
    type SerializeTupleStruct = Impossible<bool, Unwritten>;
    type SerializeTupleVariant = Impossible<bool, Unwritten>;
    type SerializeMap = Impossible<bool, Unwritten>;
    type SerializeStruct = Impossible<bool, Unwritten>;
    type SerializeStructVariant = Impossible<bool, Unwritten>;

    printed!(
        serialize_bool bool, serialize_char char,
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128
    );

    // As `Debug`: the shortest text that parses to the same number, with an exponent where that is
    // shorter.
    fn serialize_f32(self, value: f32) -> Result<bool, Unwritten> {
        self.print(format_args!("{value:?}"))
    }

    fn serialize_f64(self, value: f64) -> Result<bool, Unwritten> {
        self.print(format_args!("{value:?}"))
    }

    fn serialize_str(self, value: &str) -> Result<bool, Unwritten> {
        self.bytes(value.as_bytes())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<bool, Unwritten> {
        self.print(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<bool, Unwritten> {
        self.bytes(value)
    }

    fn serialize_none(self) -> Result<bool, Unwritten> {
        if self.inside { Err(Unwritten::Nested) } else { Ok(false) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Unwritten> {
        if self.inside {
            return Err(Unwritten::Nested);
        }
        value.serialize(Self { inside: true, ..self })
    }

    fn serialize_unit(self) -> Result<bool, Unwritten> {
        Ok(true)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<bool, Unwritten> {
        Ok(true)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<bool, Unwritten> {
        self.bytes(variant.as_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<bool, Unwritten> {
        value.serialize(Self { inside: true, ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<bool, Unwritten> {
        Err(Unwritten::Nested)
    }

    nested! {
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}
