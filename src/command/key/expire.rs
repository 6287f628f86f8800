//! EXPIRE, PEXPIRE: removes a key when a time is over. Pure.

use crate::command::arg::{ms, seconds};
use crate::command::reply::done;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Removes a key when a time is over, in seconds.
///
/// `EXPIRE key seconds [NX|XX|GT|LT]` (Redis 1.0). Answers whether the time was set; not if there is no such key, or if the
/// [condition](Self::when) does not hold. Adding entries to a stream and trimming it leave the time as it is. What is lost
/// with a stream, and what becomes of those who wait for it, is as with [`Del`](crate::Del).
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) for a time beyond what the server can count, some 290 million years.
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
    /// Removes this key when this time is over; rounded up to a second. Zero removes it at once.
    pub fn new(key: impl Into<Arg<'a>>, time: Duration) -> Self {
        Self { key: key.into(), time, when: None }
    }

    /// Only if this holds (Redis 7.0); otherwise the answer is false.
    pub fn when(self, when: ExpireWhen) -> Self {
        Self { when: Some(when), ..self }
    }
}

/// Removes a key when a time is over, in milliseconds.
///
/// `PEXPIRE key milliseconds [NX|XX|GT|LT]` (Redis 2.6). As [`Expire`] in everything else.
///
/// # Errors
///
/// As [`Expire`].
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
    /// Removes this key when this time is over; rounded up to a millisecond. Zero removes it at once.
    pub fn new(key: impl Into<Arg<'a>>, time: Duration) -> Self {
        Self { key: key.into(), time, when: None }
    }

    /// Only if this holds (Redis 7.0); otherwise the answer is false.
    pub fn when(self, when: ExpireWhen) -> Self {
        Self { when: Some(when), ..self }
    }
}

/// When a time is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpireWhen {
    /// `NX`: if the key has no time set.
    NoExpiry,
    /// `XX`: if the key has a time set.
    HasExpiry,
    /// `GT`: if the key then stays longer; never if it has no time set.
    Later,
    /// `LT`: if the key then goes sooner; always if it has no time set.
    Earlier,
}

impl ExpireWhen {
    /// It is named as Redis writes it.
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
    // The second run begins the time anew, and by then the key may be another's.
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

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

impl Command for PExpire<'_> {
    const NAME: &'static str = "PEXPIRE";
    // As EXPIRE.
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

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};

    #[test]
    fn a_time_is_rounded_up() {
        let rows = [
            (Duration::ZERO, "0", "0"),
            (Duration::from_nanos(1), "1", "1"),
            (Duration::from_secs(60), "60", "60000"),
            (Duration::from_millis(60_001), "61", "60001"),
            (Duration::from_micros(1_500), "1", "2"),
            // More than the server takes, which is its answer, and not less than was asked for.
            (Duration::MAX, "9223372036854776", "9223372036854775807"),
        ];
        for (time, seconds, ms) in rows {
            let expire = Expire::new("s", time);
            let raw = format!("EXPIRE s {seconds}");
            assert_eq!(encode(&expire), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!((expire.key(), expire.needs()), (Some(&b"s"[..]), Features::NONE));
            let expire = PExpire::new("s", time);
            let raw = format!("PEXPIRE s {ms}");
            assert_eq!(encode(&expire), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!((expire.key(), expire.needs()), (Some(&b"s"[..]), Features::NONE));
        }
    }

    #[test]
    fn a_condition_is_the_last_word() {
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
