//! `Serialize` for the replies of commands and of the queue. No I/O.
//!
//! Written by hand: serde's derive would add a Rust parser to every build.

use crate::id::EntryId;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// The value of a field: bytes as text if they are UTF-8, durations in whole milliseconds.
pub(crate) trait Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Serializes through [`Field`].
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Field + ?Sized> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

macro_rules! as_they_are {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Serialize::serialize(self, serializer)
            }
        }
    )*};
}

as_they_are!(u64, i64, bool, str, String, EntryId);

/// As text; as bytes if not UTF-8.
impl Field for [u8] {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_bytes(self),
        }
    }
}

impl Field for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Field::serialize(&**self, serializer)
    }
}

/// In whole milliseconds.
impl Field for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }
}

impl<T: Field + ?Sized> Field for &T {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<T: Field> Field for Option<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&Shown(value)),
            None => serializer.serialize_none(),
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Shown))
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(&(Shown(&self.0), Shown(&self.1)), serializer)
    }
}

/// Implements Serialize for a struct: `serialize_fields!(Type: a, b as "b_ms")`.
macro_rules! serialize_fields {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    ($type:ty: $($field:ident $(as $name:literal)?),* $(,)?) => {
        impl $crate::record::Field for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                let names = [$($crate::record::serialize_fields!(@name $field $($name)?)),*];
                let mut out = serializer.serialize_struct(stringify!($type), names.len())?;
                $(
                    let name = $crate::record::serialize_fields!(@name $field $($name)?);
                    out.serialize_field(name, &$crate::record::Shown(&self.$field))?;
                )*
                out.end()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::record::Field::serialize(self, serializer)
            }
        }
    };
}
pub(crate) use serialize_fields;

/// As text: `1700000000000-0`.
impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From text, in the server's format.
impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = EntryId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry id (ms-seq)")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<EntryId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}
