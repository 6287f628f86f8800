//! Arg: a value that a command takes, from whatever the caller has. Pure.

use crate::EntryId;
use crate::id::IdArg;
use crate::resp::Args;
use bytes::Bytes;
use std::borrow::Cow;
use std::time::Duration;

/// One argument: borrowed bytes or text, a number, or an id. Numbers are written in decimal.
///
/// It is what field names, values and keys are made of; anything that converts into it can be given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arg<'a>(Repr<'a>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Repr<'a> {
    Bytes(&'a [u8]),
    Unsigned(u64),
    Negative(u64),
    Id(EntryId),
}

impl Arg<'_> {
    #[inline]
    pub(crate) fn list(&self, out: &mut impl Args) {
        match self.0 {
            Repr::Bytes(bytes) => out.bytes(bytes),
            Repr::Unsigned(n) => out.number(n),
            Repr::Negative(n) => out.text(&format!("-{n}")),
            Repr::Id(id) => id.arg(out),
        }
    }

    /// The bytes, unless it is a number or an id.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        if let Repr::Bytes(bytes) = self.0 { Some(bytes) } else { None }
    }
}

/// From a reference to anything that is bytes.
macro_rules! from_bytes {
    ($($type:ty),*) => {$(
        impl<'a> From<&'a $type> for Arg<'a> {
            #[inline]
            fn from(bytes: &'a $type) -> Self {
                Self(Repr::Bytes(bytes.as_ref()))
            }
        }
    )*};
}

from_bytes!([u8], Vec<u8>, Bytes, Box<[u8]>, Cow<'_, [u8]>);

macro_rules! from_text {
    ($($type:ty),*) => {$(
        impl<'a> From<&'a $type> for Arg<'a> {
            #[inline]
            fn from(text: &'a $type) -> Self {
                Self(Repr::Bytes(text.as_bytes()))
            }
        }
    )*};
}

from_text!(str, &str, String, Box<str>, Cow<'_, str>);

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Repr::Bytes(bytes))
    }
}

macro_rules! from_unsigned {
    ($($type:ty),*) => {$(
        impl From<$type> for Arg<'_> {
            fn from(n: $type) -> Self {
                Self(Repr::Unsigned(n as u64))
            }
        }
    )*};
}

from_unsigned!(u8, u16, u32, u64, usize);

macro_rules! from_signed {
    ($($type:ty),*) => {$(
        impl From<$type> for Arg<'_> {
            fn from(n: $type) -> Self {
                let magnitude = n.unsigned_abs() as u64;
                Self(if n < 0 { Repr::Negative(magnitude) } else { Repr::Unsigned(magnitude) })
            }
        }
    )*};
}

from_signed!(i8, i16, i32, i64, isize);

impl From<EntryId> for Arg<'_> {
    fn from(id: EntryId) -> Self {
        Self(Repr::Id(id))
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds(time: Duration) -> u64 {
    ms(time).div_ceil(1_000)
}

/// Whole milliseconds, rounded up: how long a time is at least, as an argument.
pub(super) fn ms(time: Duration) -> u64 {
    // The server reads a signed number.
    let most = u64::try_from(i64::MAX).unwrap_or_default();
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(most).min(most)
}
