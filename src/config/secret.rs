//! A password that is never shown. No I/O.

use std::fmt;

/// Text that does not appear in Debug output, errors or traces.
///
/// ```
/// use bourn::Secret;
///
/// let secret = Secret::from("s3cret");
/// assert!(!format!("{secret:?}").contains("s3cret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Returns the text itself, for the handshake.
    #[cfg_attr(
        not(any(test, feature = "tokio")),
        expect(dead_code, reason = "only read when connecting")
    )]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Box<str>>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
