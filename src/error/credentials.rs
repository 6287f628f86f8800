//! Why there are no credentials. Pure.

use std::fmt;

/// Why a [`CredentialsProvider`](crate::CredentialsProvider) has no credentials, in its own words.
///
/// The text stands in errors and may be logged: no secret belongs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsError(Box<str>);

impl CredentialsError {
    /// For this reason.
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
