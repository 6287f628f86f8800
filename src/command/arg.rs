//! A single argument of a command, created from the caller's types. No I/O.

use crate::EntryId;
use crate::id::IdArg;
use crate::resp::Args;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// One argument: a key, a field name or a field value.
///
/// | from | on the wire |
/// |---|---|
/// | `&str`, `&[u8]`, `&Bytes`, references to other texts and bytes | the bytes, borrowed until the command is sent |
/// | `String`, `Vec<u8>`, `Bytes`, `Cow`, `Box` | the bytes, owned; `Bytes` are copied if they are shared |
/// | integers | decimal digits: `-7` |
/// | `f64`, `f32` | the shortest text that reads as the same number: `0.1`, `3.0`, `1e300`; `NaN`, `inf`, `-inf` |
/// | `bool` | `true`, `false` |
/// | `char` | its UTF-8 |
/// | [`EntryId`] | `ms-seq` |
///
/// Records serialized with serde have the same text form.
///
/// ```
/// # use bourn::{XAdd, command::encode};
/// let (note, tags) = (String::from("fragile"), vec![b'x']);
/// let add = XAdd::new("s").field("n", -7).field("f", 0.5).field("ok", true).field("note", note);
/// let words = ["XADD", "s", "*", "n", "-7", "f", "0.5", "ok", "true", "note", "fragile", "tags", "x"];
/// let request = encode(&add.field("tags", tags));
/// assert_eq!(request, encode(&bourn::Raw::new(words[0]).args(&words[1..])));
/// ```
#[derive(Clone)]
pub struct Arg<'a>(Repr<'a, Vec<u8>>);

/// `O` stores owned bytes.
#[derive(Clone, Copy, PartialEq)]
enum Repr<'a, O> {
    Bytes(&'a [u8]),
    // A vector's capacity has a niche for the tag: the type does not grow.
    Owned(O),
    Unsigned(u64),
    Negative(u64),
    Double(f64),
    Float(f32),
    Char(char),
    Id(EntryId),
}

/// The largest number takes 24 bytes: `-2.2250738585072014e-308`.
const MAX_TEXT: usize = 32;

/// An argument whose owned bytes are stored elsewhere: a plain copy without a destructor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a>(Repr<'a, usize>);

/// The owned bytes of a command's slots.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnedBytes(Vec<Vec<u8>>);

impl OwnedBytes {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Stores the argument's owned bytes and returns a slot for it.
    #[inline]
    pub(super) fn keep<'a>(&mut self, arg: Arg<'a>) -> Slot<'a> {
        Slot(match arg.0 {
            Repr::Bytes(bytes) => Repr::Bytes(bytes),
            Repr::Owned(bytes) => {
                self.0.push(bytes);
                Repr::Owned(self.0.len() - 1)
            }
            Repr::Unsigned(n) => Repr::Unsigned(n),
            Repr::Negative(n) => Repr::Negative(n),
            Repr::Double(n) => Repr::Double(n),
            Repr::Float(n) => Repr::Float(n),
            Repr::Char(c) => Repr::Char(c),
            Repr::Id(id) => Repr::Id(id),
        })
    }

    #[inline]
    pub(super) fn list(&self, slot: &Slot<'_>, out: &mut impl Args) {
        match &slot.0 {
            Repr::Owned(place) => out.bytes(self.0.get(*place).map_or(&[], Vec::as_slice)),
            other => other.list(out),
        }
    }
}

impl Arg<'_> {
    #[inline]
    pub(crate) fn list(&self, out: &mut impl Args) {
        match &self.0 {
            Repr::Owned(bytes) => out.bytes(bytes),
            other => other.list(out),
        }
    }

    /// Returns the bytes; `None` for a number, a character or an id.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Bytes(bytes) => Some(bytes),
            Repr::Owned(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<O: fmt::Debug> Repr<'_, O> {
    /// Lists every kind of argument except owned bytes.
    #[inline]
    fn list(&self, out: &mut impl Args) {
        match self {
            Repr::Bytes(bytes) => out.bytes(bytes),
            Repr::Unsigned(n) => out.number(*n),
            Repr::Id(id) => id.arg(out),
            _ => out.bytes(self.text(&mut [0; MAX_TEXT])),
        }
    }

    /// Formats a value that is not bytes into `place`, and returns the part used.
    fn text<'p>(&self, place: &'p mut [u8; MAX_TEXT]) -> &'p [u8] {
        let mut rest = place.as_mut_slice();
        // `Debug` writes the shortest text, with an exponent where that is shorter. All values fit.
        let written = match self {
            Repr::Negative(n) => write!(rest, "-{n}"),
            Repr::Double(n) => write!(rest, "{n:?}"),
            Repr::Float(n) => write!(rest, "{n:?}"),
            Repr::Char(c) => write!(rest, "{c}"),
            _ => Ok(()),
        };
        debug_assert!(written.is_ok(), "{self:?} takes more than {MAX_TEXT} bytes");
        let left = rest.len();
        place.get(..MAX_TEXT - left).unwrap_or_default()
    }
}

/// Borrowed and owned arguments are equal if their bytes are.
impl PartialEq for Arg<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.as_bytes(), other.as_bytes()) {
            (None, None) => self.0 == other.0,
            (mine, theirs) => mine == theirs,
        }
    }
}

impl fmt::Debug for Arg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Owned(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl<O: fmt::Debug> fmt::Debug for Repr<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repr::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Repr::Owned(owned) => write!(f, "{owned:?}"),
            Repr::Unsigned(n) => write!(f, "{n}"),
            Repr::Negative(n) => write!(f, "-{n}"),
            Repr::Double(n) => write!(f, "{n:?}"),
            Repr::Float(n) => write!(f, "{n:?}"),
            Repr::Char(c) => write!(f, "{c:?}"),
            Repr::Id(id) => write!(f, "{id}"),
        }
    }
}

/// Implements conversion from a reference to bytes of any kind.
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

from_bytes!([u8], &[u8], Vec<u8>, Bytes, Box<[u8]>, Cow<'_, [u8]>, Arc<[u8]>);

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

from_text!(str, &str, String, Box<str>, Cow<'_, str>, Arc<str>);

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Repr::Bytes(bytes))
    }
}

macro_rules! from_owned {
    ($($type:ty),*) => {$(
        impl From<$type> for Arg<'_> {
            fn from(bytes: $type) -> Self {
                Self(Repr::Owned(bytes.into()))
            }
        }
    )*};
}

from_owned!(Vec<u8>, Bytes, Box<[u8]>, String);

impl From<Box<str>> for Arg<'_> {
    fn from(text: Box<str>) -> Self {
        Self(Repr::Owned(String::from(text).into()))
    }
}

impl<'a> From<Cow<'a, [u8]>> for Arg<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        Self(match bytes {
            Cow::Borrowed(bytes) => Repr::Bytes(bytes),
            Cow::Owned(bytes) => Repr::Owned(bytes),
        })
    }
}

impl<'a> From<Cow<'a, str>> for Arg<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(match text {
            Cow::Borrowed(text) => Repr::Bytes(text.as_bytes()),
            Cow::Owned(text) => Repr::Owned(text.into()),
        })
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

macro_rules! from_wide {
    ($($type:ty),*) => {$(
        impl From<$type> for Arg<'_> {
            fn from(n: $type) -> Self {
                u64::try_from(n).map_or_else(|_| n.to_string().into(), Self::from)
            }
        }
    )*};
}

from_wide!(u128, i128);

impl From<f64> for Arg<'_> {
    fn from(n: f64) -> Self {
        Self(Repr::Double(n))
    }
}

impl From<f32> for Arg<'_> {
    fn from(n: f32) -> Self {
        Self(Repr::Float(n))
    }
}

impl From<bool> for Arg<'_> {
    fn from(b: bool) -> Self {
        Self(Repr::Bytes(if b { b"true" } else { b"false" }))
    }
}

impl From<char> for Arg<'_> {
    fn from(c: char) -> Self {
        Self(Repr::Char(c))
    }
}

impl From<EntryId> for Arg<'_> {
    fn from(id: EntryId) -> Self {
        Self(Repr::Id(id))
    }
}

/// Implements conversion from a reference to a `Copy` type, as iterators of maps yield it.
macro_rules! from_copied {
    ($($type:ty),*) => {$(
        impl From<&$type> for Arg<'_> {
            fn from(value: &$type) -> Self {
                Self::from(*value)
            }
        }
    )*};
}

from_copied!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f64, f32, bool, char, EntryId
);

/// Returns whole seconds, rounded up.
pub(super) fn seconds(time: Duration) -> u64 {
    ms(time).div_ceil(1_000)
}

/// Returns whole milliseconds, rounded up.
pub(super) fn ms(time: Duration) -> u64 {
    // The server reads a signed number.
    let most = u64::try_from(i64::MAX).unwrap_or_default();
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FLAGS: [bool; 1] = [true];

    fn text(arg: impl Into<Arg<'static>>) -> String {
        struct Listed(Vec<u8>);
        impl crate::resp::Sealed for Listed {}

        impl Args for Listed {
            fn bytes(&mut self, arg: &[u8]) {
                self.0.extend_from_slice(arg);
            }
            fn number(&mut self, n: u64) {
                self.0.extend_from_slice(n.to_string().as_bytes());
            }
            fn id(&mut self, prefix: &str, ms: u64, seq: u64) {
                self.0.extend_from_slice(format!("{prefix}{ms}-{seq}").as_bytes());
            }
        }
        let mut listed = Listed(Vec::new());
        arg.into().list(&mut listed);
        String::from_utf8(listed.0).unwrap()
    }

    #[test]
    fn every_argument_type_has_the_documented_text() {
        let rows = [
            (text(0.1), "0.1"),
            (text(0.1_f32), "0.1"),
            (text(3.0), "3.0"),
            (text(1e300), "1e300"),
            (text(-f64::MIN_POSITIVE), "-2.2250738585072014e-308"),
            (text(-f64::MAX), "-1.7976931348623157e308"),
            (text(-0.0), "-0.0"),
            (text(f64::NAN), "NaN"),
            (text(f64::INFINITY), "inf"),
            (text(f32::NEG_INFINITY), "-inf"),
            (text(true), "true"),
            (text(false), "false"),
            (text('é'), "é"),
            (text(i64::MIN), "-9223372036854775808"),
            (text(u64::MAX), "18446744073709551615"),
            (text(u128::MAX), "340282366920938463463374607431768211455"),
            (text(i128::MIN), "-170141183460469231731687303715884105728"),
            (text(-1_i128), "-1"),
            (text(EntryId::new(1, 2)), "1-2"),
            (text(String::from("a")), "a"),
            (text("a"), "a"),
            (text(Bytes::from_static(b"a")), "a"),
            (text(vec![b'a']), "a"),
            (text(Box::<str>::from("a")), "a"),
            (text(Cow::Borrowed("a")), "a"),
            (text(Cow::<str>::Owned("a".into())), "a"),
            (text(Cow::<[u8]>::Owned(b"a".into())), "a"),
            (text(Arg::from(&FLAGS[0])), "true"),
        ];
        for (nth, (text, expected)) in rows.into_iter().enumerate() {
            assert_eq!(text, expected, "row {nth}");
        }
    }

    #[test]
    fn owned_bytes_do_not_enlarge_the_argument_type() {
        assert_eq!(size_of::<Arg<'_>>(), size_of::<Vec<u8>>());
        assert_eq!(Arg::from("a"), Arg::from(String::from("a")));
        assert_ne!(Arg::from("1"), Arg::from(1));
    }

    proptest! {
        #[test]
        fn floats_survive_a_round_trip(bits in any::<u64>(), small in any::<u32>()) {
            let (double, float) = (f64::from_bits(bits), f32::from_bits(small));
            if !double.is_nan() {
                prop_assert_eq!(text(double).parse::<f64>().unwrap(), double);
            }
            if !float.is_nan() {
                prop_assert_eq!(text(float).parse::<f32>().unwrap(), float);
            }
        }
    }
}
