//! The error of a credentials provider. No I/O.

use std::fmt;

/// The error of a [`CredentialsProvider`](crate::CredentialsProvider), as text.
///
/// The text is part of other errors and may be logged: it must not contain a secret.
///
/// ```
/// use bourn::CredentialsError;
///
/// let error = CredentialsError::new("the vault is sealed");
/// assert_eq!(error.to_string(), "the vault is sealed");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialsError(Box<str>);

impl CredentialsError {
    /// Creates an error with this text.
    #[must_use]
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CredentialsError {}

debug_is_display!(CredentialsError);
