//! AUTH: authenticates a connection as a user. No I/O.

use super::arg::Arg;
use super::dedicated::{self, DedicatedCommand};
use super::reply::ok;
use crate::resp::{Args, DecodeError, Frame};
use std::fmt;

/// Authenticates a [`Reader`](crate::Reader)'s connection as a user.
///
/// `AUTH [user] password` (a user: Redis 6.0). It applies until the connection ends: after a
/// reconnect the reader has the user of its settings again. So use it for permissions that are
/// needed once.
///
/// Debug output does not contain the password.
///
/// # Errors
///
/// [`Code::WrongPass`](crate::Code::WrongPass) when user or password is wrong, or the user is
/// disabled; the connection keeps its user. [`Code::Err`](crate::Code::Err) for a password without
/// a user when the default user has none.
///
/// # Example
/// ```no_run
/// # use bourn::{Auth, Client, Error};
/// # async fn f(client: &Client, password: &str) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// reader.send(Auth::new(password).user("auditor")).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Auth<'a> {
    user: Option<Arg<'a>>,
    password: Arg<'a>,
}

impl<'a> Auth<'a> {
    /// Authenticates as the default user with this password.
    pub fn new(password: impl Into<Arg<'a>>) -> Self {
        Self { user: None, password: password.into() }
    }

    /// Sets the user, instead of the default user (Redis 6.0).
    pub fn user(self, user: impl Into<Arg<'a>>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    pub(super) fn list(&self, out: &mut impl Args) {
        if let Some(user) = &self.user {
            user.list(out);
        }
        self.password.list(out);
    }
}

impl dedicated::sealed::Sealed for Auth<'_> {}

impl DedicatedCommand for Auth<'_> {
    const DEDICATED_NAME: &'static str = "AUTH";
    type DedicatedReply = ();

    fn dedicated_args(&self, out: &mut impl Args) {
        self.list(out);
    }

    fn dedicated_secret(&self) -> Option<&[u8]> {
        self.password.as_bytes()
    }

    fn dedicated_reply(frame: Frame) -> Result<(), DecodeError> {
        ok(frame)
    }
}

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = format_args!("***");
        f.debug_struct("Auth").field("user", &self.user).field("password", &password).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode, encode_dedicated};

    #[test]
    fn user_precedes_the_password() {
        let rows = [
            (Auth::new("sesame"), "AUTH sesame"),
            (Auth::new("sesame").user("ann"), "AUTH ann sesame"),
        ];
        for (auth, expected) in rows {
            assert_eq!(encode_dedicated(&auth), encode(&Raw::new(expected)), "{expected}");
        }
        let empty = encode(&Raw::new("AUTH").args(["ann", ""]));
        assert_eq!(encode_dedicated(&Auth::new("").user("ann")), empty);
    }

    #[test]
    fn password_is_not_in_debug_output_or_errors() {
        let bytes = format!("{:?}", Arg::from("sesame"));
        for auth in [Auth::new("sesame"), Auth::new(b"sesame").user("ann")] {
            for shown in [format!("{auth:?}"), format!("{auth:#?}")] {
                assert!(shown.contains("***"), "{shown}");
                assert!(!shown.contains("sesame") && !shown.contains(&bytes), "{shown}");
                let digits = b"sesame".map(|byte| byte.to_string()).join(", ");
                assert!(!shown.contains(&digits), "{shown}");
            }
        }
        assert!(!format!("{:?}", Auth::new(123_456)).contains("123456"));
    }
}
