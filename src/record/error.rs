//! The error of a payload that cannot be encoded or decoded. No I/O.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::str::Utf8Error;
use std::sync::Arc;

/// The maximum number of bytes of a value or a name that is shown.
const SHOWN_BYTES: usize = 64;

/// A payload that cannot be encoded as fields, or fields that cannot be decoded.
///
/// The error is permanent: the same payload fails the same way again.
///
/// ```
/// use bourn::queue::CodecError;
///
/// let error = CodecError::missing("user_id");
/// assert_eq!(error.field(), Some(&b"user_id"[..]));
/// ```
#[derive(Clone)]
pub struct CodecError(Box<Details>);

#[derive(Clone)]
struct Details {
    field: Option<Box<[u8]>>,
    what: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl CodecError {
    /// Creates an error with this message, which is shown after the field's name.
    #[must_use]
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Details { field: None, what: what.into(), source: None }))
    }

    /// Creates the error for a missing field.
    #[must_use]
    pub fn missing(field: impl AsRef<[u8]>) -> Self {
        Self::new("missing").in_field(field)
    }

    /// Creates an error from what was expected and the actual text, which is escaped and cut after
    /// 64 bytes.
    #[must_use]
    pub fn expected(expected: &str, got: impl AsRef<[u8]>) -> Self {
        let got = got.as_ref();
        let shown = got.get(..SHOWN_BYTES).unwrap_or(got);
        let cut = if shown.len() < got.len() { "..." } else { "" };
        Self::new(format!("expected {expected}, got \"{}\"{cut}", shown.escape_ascii()))
    }

    /// Creates an error from a message and its cause: `caused_by("invalid JSON", error)`.
    #[must_use]
    pub fn caused_by(
        what: impl Into<Cow<'static, str>>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        let Self(mut error) = Self::new(what);
        error.source = Some(Arc::new(source));
        Self(error)
    }

    /// Sets the field that the error refers to, if none is set yet.
    #[must_use]
    pub fn in_field(self, field: impl AsRef<[u8]>) -> Self {
        let Self(mut error) = self;
        error.field.get_or_insert_with(|| field.as_ref().into());
        Self(error)
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn reserved(field: &[u8]) -> Self {
        Self::new("names that begin with `_` are reserved").in_field(field)
    }

    pub(crate) fn not_utf8(source: Utf8Error) -> Self {
        Self::caused_by("not UTF-8", source)
    }

    #[cfg(feature = "serde")]
    pub(crate) fn not_json(source: serde_json::Error) -> Self {
        Self::caused_by("cannot be encoded as JSON", source)
    }

    #[cfg(feature = "serde")]
    pub(crate) fn unlike_json(source: serde_json::Error) -> Self {
        Self::caused_by("unexpected JSON", source)
    }

    /// Returns the field that the error refers to; `None` if it refers to the payload as a whole.
    #[must_use]
    pub fn field(&self) -> Option<&[u8]> {
        self.0.field.as_deref()
    }
}

/// Prints as `field age: expected u8, got "300"`.
impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.field() {
            let shown = field.get(..SHOWN_BYTES).unwrap_or(field);
            let cut = if shown.len() < field.len() { "..." } else { "" };
            write!(f, "field {}{cut}: ", shown.escape_ascii())?;
        }
        f.write_str(&self.0.what)?;
        self.0.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text contains the cause itself.
        self.0.source.as_ref()?.source()
    }
}

debug_is_display!(CodecError);

#[cfg(feature = "serde")]
impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what.to_string())
    }
}

#[cfg(feature = "serde")]
impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("comes more than once").in_field(field)
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::*;

    #[test]
    fn field_comes_first_and_cause_last() {
        let number = "x".parse::<u8>().expect_err("no number");
        let rows = [
            (CodecError::missing("user_id"), "field user_id: missing"),
            (CodecError::reserved(b"_id"), "field _id: names that begin with `_` are reserved"),
            (CodecError::expected("u8", "3\n"), r#"expected u8, got "3\n""#),
            (
                CodecError::caused_by("no number", number).in_field("n").in_field("outer"),
                "field n: no number: invalid digit found in string",
            ),
            (CodecError::new("too old").in_field(b"\xff"), r"field \xff: too old"),
        ];
        for (error, text) in rows {
            assert_eq!(error.to_string(), text);
            assert!(error.source().is_none(), "{text}");
            assert_eq!(format!("{error:?}"), text);
        }
    }

    #[test]
    fn long_names_and_values_are_truncated() {
        let long = "x".repeat(4096);
        let error = CodecError::expected("u8", &long).in_field(&long);
        assert!(error.to_string().len() < 200, "{error}");
        assert_eq!(error.field(), Some(long.as_bytes()));
    }
}
