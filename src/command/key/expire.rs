//! EXPIRE, PEXPIRE: set a key's time to live. No I/O.

use crate::command::arg::{ms, seconds};
use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Sets a key's time to live, in seconds.
///
/// `EXPIRE key seconds [NX|XX|GT|LT]` (Redis 1.0). Returns whether the time was set: false if the
/// key does not exist or the [condition](Self::when) does not hold. Adding entries to a stream and
/// trimming it do not change the time. An expired stream has the same effects as
/// [`Del`](crate::Del).
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) for a time beyond the server's range, about 290 million years.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Expire, ExpireWhen};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let week = Duration::from_secs(7 * 86_400);
/// let set = client.send(Expire::new("session:7", week).when(ExpireWhen::NoExpiry)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Expire<'a> {
    key: Arg<'a>,
    time: Duration,
    when: Option<ExpireWhen>,
}

impl<'a> Expire<'a> {
    /// Sets this time to live, rounded up to a second. Zero removes the key at once.
    pub fn new(key: impl Into<Arg<'a>>, time: Duration) -> Self {
        Self { key: key.into(), time, when: None }
    }

    /// Sets the time only if this condition holds (Redis 7.0); otherwise the reply is false.
    pub fn when(self, when: ExpireWhen) -> Self {
        Self { when: Some(when), ..self }
    }
}

/// Sets a key's time to live, in milliseconds.
///
/// `PEXPIRE key milliseconds [NX|XX|GT|LT]` (Redis 2.6). Otherwise the same as [`Expire`].
///
/// # Errors
///
/// The same as for [`Expire`].
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, PExpire};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let was_there = client.send(PExpire::new("lock:7", Duration::from_millis(1_500))).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PExpire<'a> {
    key: Arg<'a>,
    time: Duration,
    when: Option<ExpireWhen>,
}

impl<'a> PExpire<'a> {
    /// Sets this time to live, rounded up to a millisecond. Zero removes the key at once.
    pub fn new(key: impl Into<Arg<'a>>, time: Duration) -> Self {
        Self { key: key.into(), time, when: None }
    }

    /// Sets the time only if this condition holds (Redis 7.0); otherwise the reply is false.
    pub fn when(self, when: ExpireWhen) -> Self {
        Self { when: Some(when), ..self }
    }
}

/// The condition for setting a time to live.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Expire, ExpireWhen};
/// use std::time::Duration;
///
/// // Only if the key would live on for ever.
/// let expire = Expire::new("orders", Duration::from_secs(86_400)).when(ExpireWhen::NoExpiry);
/// println!("set: {}", client.send(expire).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpireWhen {
    /// `NX`: the key has no expiry.
    NoExpiry,
    /// `XX`: the key has an expiry.
    HasExpiry,
    /// `GT`: the new expiry is later; never true if the key has none.
    Later,
    /// `LT`: the new expiry is sooner; always true if the key has none.
    Earlier,
}

impl ExpireWhen {
    /// Returns the feature of this condition, which has Redis's name.
    fn feature(self) -> Feature {
        match self {
            Self::NoExpiry => Feature::ExpireNx,
            Self::HasExpiry => Feature::ExpireXx,
            Self::Later => Feature::ExpireGt,
            Self::Earlier => Feature::ExpireLt,
        }
    }
}

fn list(key: &Arg<'_>, time: u64, when: Option<ExpireWhen>, out: &mut impl Args) {
    key.list(out);
    out.number(time);
    if let Some(when) = when {
        out.text(when.feature().name());
    }
}

impl Command for Expire<'_> {
    const NAME: &'static str = "EXPIRE";
    // A second run restarts the time, and the key may have been replaced by then.
    const SAFETY: Safety = Safety::Write;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        list(&self.key, seconds(self.time), self.when, out);
    }

    fn needs(&self) -> Features {
        self.when.map_or(Features::NONE, |when| when.feature().into())
    }

    fn reply(frame: Frame) -> Result<bool, DecodeError> {
        done(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

impl Command for PExpire<'_> {
    const NAME: &'static str = "PEXPIRE";
    // The same as for EXPIRE.
    const SAFETY: Safety = Safety::Write;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        list(&self.key, ms(self.time), self.when, out);
    }

    fn needs(&self) -> Features {
        self.when.map_or(Features::NONE, |when| when.feature().into())
    }

    fn reply(frame: Frame) -> Result<bool, DecodeError> {
        done(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    #[test]
    fn expiry_is_rounded_up() {
        let rows = [
            (Duration::ZERO, "0", "0"),
            (Duration::from_nanos(1), "1", "1"),
            (Duration::from_secs(60), "60", "60000"),
            (Duration::from_millis(60_001), "61", "60001"),
            (Duration::from_micros(1_500), "1", "2"),
            // Out of the server's range: the server refuses it, and the time is not shortened.
            (Duration::MAX, "9223372036854776", "9223372036854775807"),
        ];
        for (time, seconds, ms) in rows {
            let expire = Expire::new("s", time);
            let raw = format!("EXPIRE s {seconds}");
            assert_eq!(encode(&expire), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!(
                (listed_keys(&expire), expire.needs()),
                (vec!["s".to_owned()], Features::NONE)
            );
            let expire = PExpire::new("s", time);
            let raw = format!("PEXPIRE s {ms}");
            assert_eq!(encode(&expire), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!(
                (listed_keys(&expire), expire.needs()),
                (vec!["s".to_owned()], Features::NONE)
            );
        }
    }

    #[test]
    fn expiry_condition_is_the_last_argument() {
        let minute = Duration::from_secs(60);
        let rows = [
            (ExpireWhen::NoExpiry, "NX"),
            (ExpireWhen::HasExpiry, "XX"),
            (ExpireWhen::Later, "GT"),
            (ExpireWhen::Earlier, "LT"),
        ];
        for (when, word) in rows {
            let expire = Expire::new("s", minute).when(when);
            let raw = format!("EXPIRE s 60 {word}");
            assert_eq!(encode(&expire), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!(expire.needs().iter().count(), 1);
            let expire = PExpire::new("s", minute).when(when);
            let raw = format!("PEXPIRE s 60000 {word}");
            assert_eq!(encode(&expire), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!(expire.needs().iter().count(), 1);
        }
    }
}
