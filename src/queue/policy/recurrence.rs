//! Recurrence: the ticks of a recurring job, and the choice for those that were missed. No I/O.
//!
//! A *tick* is a time at which a job is added, in milliseconds since 1970 by the server's clock.

use std::fmt;
use std::time::Duration;

/// The consumer whose existence says that the queue has recurring jobs.
pub(crate) const MARKER: &[u8] = b"~recurring";

/// The shortest interval, in milliseconds. Two ticks are never closer.
const LEAST: u64 = 1_000;

/// A tick that is late by no more than this is not missed: a worker was replaced meanwhile.
const LATE: u64 = 60_000;

/// The most ticks that are made up for at once.
const MOST: usize = 1_000;

/// The ticks of a recurring job: at an interval, or by a cron text in a time zone.
///
/// ```
/// # use bourn::queue::{Missed, Recurrence};
/// # use std::time::Duration;
/// let hourly = Recurrence::every(Duration::from_secs(3_600)).missed(Missed::All);
/// assert_eq!(hourly.to_string(), "every 3600s");
/// # #[cfg(feature = "cron")]
/// let weekdays = Recurrence::cron("0 7 * * Mon-Fri", "Europe/Berlin");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    rule: Rule,
    missed: Missed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Every(Duration),
    Cron { text: Box<str>, zone: Box<str> },
}

/// The choice for ticks that passed while no worker was running.
///
/// ```
/// # use bourn::queue::{Missed, Recurrence};
/// # use std::time::Duration;
/// let report = Recurrence::every(Duration::from_secs(60)).missed(Missed::Skip);
/// # let _ = report;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Missed {
    /// No job is added for them. The last one counts as missed only if it is late by more than a
    /// minute.
    Skip,
    /// One job is added, for the last of them.
    #[default]
    One,
    /// A job is added for each of them, the oldest first; for the last 1,000 if there are more.
    All,
}

impl Missed {
    const TEXTS: [(Self, &str); 3] = [(Self::Skip, "skip"), (Self::One, "one"), (Self::All, "all")];

    fn text(self) -> &'static str {
        Self::TEXTS.iter().find(|(missed, _)| *missed == self).map_or("", |(_, text)| text)
    }
}

impl Recurrence {
    /// Creates a recurrence at an interval of whole seconds or longer. The ticks are the multiples of
    /// the interval since 1970, UTC: an hourly job is due at each full hour.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self { rule: Rule::Every(interval), missed: Missed::default() }
    }

    /// Creates a recurrence of five fields, `minute hour day month weekday`, or six with the seconds
    /// first, in a time zone such as `UTC` or `Europe/Berlin`.
    ///
    /// On the day on which the clocks are set forward, a fixed time that does not exist has a tick at
    /// that moment. On the day on which they are set back, a fixed time has one tick. The
    /// [croner](https://docs.rs/croner) crate defines both.
    #[cfg(feature = "cron")]
    #[must_use]
    pub fn cron(text: &str, zone: &str) -> Self {
        Self {
            rule: Rule::Cron { text: text.into(), zone: zone.into() },
            missed: Missed::default(),
        }
    }

    /// Sets the choice for ticks that passed while no worker was running. The default is
    /// [`Missed::One`].
    #[must_use]
    pub fn missed(self, missed: Missed) -> Self {
        Self { missed, ..self }
    }

    /// Returns the rule, the time zone, and the choice for missed ticks, as they are stored.
    pub(crate) fn texts(&self) -> [String; 3] {
        let (rule, zone) = match &self.rule {
            Rule::Every(interval) => (format!("every {}", interval.as_millis()), String::new()),
            Rule::Cron { text, zone } => (text.to_string(), zone.to_string()),
        };
        [rule, zone, self.missed.text().to_owned()]
    }

    /// Returns a recurrence as it was stored; `None` if this version does not know it.
    pub(crate) fn parse([rule, zone, missed]: [&[u8]; 3]) -> Option<Self> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let missed = text(missed)?;
        let (missed, _) = Missed::TEXTS.into_iter().find(|(_, found)| *found == missed)?;
        let rule = match (text(rule)?, text(zone)?) {
            (rule, "") => {
                let ms = rule.strip_prefix("every ")?.parse().ok()?;
                Rule::Every(Duration::from_millis(ms))
            }
            (rule, zone) => Rule::Cron { text: rule.into(), zone: zone.into() },
        };
        Some(Self { rule, missed })
    }

    /// Returns the ticks, or the reason why there are none.
    pub(crate) fn ticks(&self) -> Result<Ticks, String> {
        let rule = match &self.rule {
            Rule::Every(interval) => {
                let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
                if ms < LEAST || interval.subsec_nanos() != 0 {
                    return Err(format!("the interval {interval:?} is not of whole seconds"));
                }
                TickRule::Every(ms)
            }
            Rule::Cron { text, zone } => TickRule::cron(text, zone)?,
        };
        Ok(Ticks { rule, missed: self.missed })
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Every(interval) => write!(f, "every {interval:?}"),
            Rule::Cron { text, zone } => write!(f, "{text} {zone}"),
        }
    }
}

/// The ticks of a recurrence.
#[derive(Debug)]
pub(crate) struct Ticks {
    rule: TickRule,
    missed: Missed,
}

#[derive(Debug)]
enum TickRule {
    Every(u64),
    #[cfg(feature = "cron")]
    Cron(Box<croner::Cron>, jiff::tz::TimeZone),
}

impl TickRule {
    #[cfg(feature = "cron")]
    fn cron(text: &str, zone: &str) -> Result<Self, String> {
        let cron: croner::Cron =
            text.parse().map_err(|error| format!("the cron text {text:?}: {error}"))?;
        let zone = jiff::tz::TimeZone::get(zone).map_err(|error| error.to_string())?;
        Ok(Self::Cron(Box::new(cron), zone))
    }

    #[cfg(not(feature = "cron"))]
    fn cron(text: &str, _: &str) -> Result<Self, String> {
        Err(format!("the cron text {text:?} needs the feature `cron`"))
    }
}

/// Returns the local time of a tick.
#[cfg(feature = "cron")]
fn zoned(ms: u64, zone: &jiff::tz::TimeZone) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()))
}

#[cfg(feature = "cron")]
fn ms(zoned: &jiff::Zoned) -> Option<u64> {
    u64::try_from(zoned.timestamp().as_millisecond()).ok()
}

/// The ticks that are due.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Due {
    /// Those for which a job is added, in order.
    pub(crate) jobs: Vec<u64>,
    /// The last one, if no job is added for it.
    pub(crate) skipped: Option<u64>,
}

impl Ticks {
    /// Returns the first tick after this time; `None` if there is none.
    pub(crate) fn after(&self, time: u64) -> Option<u64> {
        match &self.rule {
            TickRule::Every(ms) => (time / ms).checked_add(1)?.checked_mul(*ms),
            #[cfg(feature = "cron")]
            TickRule::Cron(cron, zone) => {
                ms(&cron.find_next_occurrence(&zoned(time, zone)?, false).ok()?)
            }
        }
    }

    /// Returns the last tick up to this time; `None` if there is none.
    pub(crate) fn by(&self, time: u64) -> Option<u64> {
        match &self.rule {
            TickRule::Every(ms) => Some(time / ms * ms),
            #[cfg(feature = "cron")]
            TickRule::Cron(cron, zone) => {
                ms(&cron.find_previous_occurrence(&zoned(time, zone)?, true).ok()?)
            }
        }
    }

    /// Returns the ticks after `last` that are due `now`.
    pub(crate) fn due(&self, last: u64, now: u64) -> Due {
        let Some(newest) = self.by(now).filter(|newest| *newest > last) else {
            return Due::default();
        };
        match self.missed {
            Missed::Skip if now - newest > LATE => Due { jobs: vec![], skipped: Some(newest) },
            Missed::Skip | Missed::One => Due { jobs: vec![newest], skipped: None },
            Missed::All => {
                let before = |tick: &u64| self.by(tick.checked_sub(1)?).filter(|it| *it > last);
                let ticks = std::iter::successors(Some(newest), before).take(MOST);
                let mut jobs: Vec<u64> = ticks.collect();
                jobs.reverse();
                Due { jobs, skipped: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn ticks(recurrence: Recurrence) -> Ticks {
        recurrence.ticks().expect("it is valid")
    }

    fn hourly(missed: Missed) -> Ticks {
        ticks(Recurrence::every(Duration::from_secs(3_600)).missed(missed))
    }

    #[test]
    fn ticks_of_an_interval_are_its_multiples() {
        let ticks = hourly(Missed::One);
        let rows = [(0, HOUR, 0), (1, HOUR, 0), (HOUR - 1, HOUR, 0), (HOUR, 2 * HOUR, HOUR)];
        for (time, after, by) in rows {
            assert_eq!((ticks.after(time), ticks.by(time)), (Some(after), Some(by)), "{time}");
        }
        assert_eq!(ticks.after(u64::MAX), None);
    }

    #[test]
    fn missed_ticks_are_skipped_or_made_up_for() {
        let late = 5 * HOUR + LATE;
        let jobs = |jobs: &[u64]| Due { jobs: jobs.to_vec(), skipped: None };
        let rows = [
            (Missed::Skip, 2 * HOUR, late, jobs(&[5 * HOUR])),
            (Missed::Skip, 2 * HOUR, late + 1, Due { jobs: vec![], skipped: Some(5 * HOUR) }),
            (Missed::One, 2 * HOUR, late + 1, jobs(&[5 * HOUR])),
            (Missed::All, 2 * HOUR, late, jobs(&[3 * HOUR, 4 * HOUR, 5 * HOUR])),
            (Missed::All, 5 * HOUR, late, jobs(&[])),
            (Missed::One, 5 * HOUR - 1, 5 * HOUR, jobs(&[5 * HOUR])),
            (Missed::One, 5 * HOUR, 5 * HOUR - 7, jobs(&[])),
        ];
        for (missed, last, now, expected) in rows {
            assert_eq!(hourly(missed).due(last, now), expected, "{missed:?}, {last} to {now}");
        }
        let many = hourly(Missed::All).due(0, 5_000 * HOUR).jobs;
        assert_eq!((many.len(), many.first()), (MOST, Some(&(4_001 * HOUR))));
    }

    #[test]
    fn stored_texts_are_read_back_and_others_are_not() {
        for missed in [Missed::Skip, Missed::One, Missed::All] {
            let stored = Recurrence::every(Duration::from_secs(90)).missed(missed);
            let texts = stored.texts();
            assert_eq!(Recurrence::parse(texts.each_ref().map(|it| it.as_bytes())), Some(stored));
        }
        let unknown: [[&[u8]; 3]; 4] = [
            [b"every x", b"", b"one"],
            [b"daily", b"", b"one"],
            [b"every 90000", b"", b"two"],
            [b"\xff", b"UTC", b"one"],
        ];
        for texts in unknown {
            assert_eq!(Recurrence::parse(texts), None, "{texts:?}");
        }
    }

    #[test]
    fn invalid_recurrences_say_why() {
        for interval in [Duration::ZERO, Duration::from_millis(1_500)] {
            let error = Recurrence::every(interval).ticks().expect_err("it is invalid");
            assert!(error.contains("whole seconds"), "{error}");
        }
        let stored = Recurrence::parse([b"61 * * * *", b"UTC", b"one"]).expect("a cron text");
        let error = stored.ticks().expect_err("it is invalid");
        assert!(error.contains("61 * * * *"), "{error}");
    }

    #[cfg(feature = "cron")]
    #[test]
    fn cron_texts_are_read_in_their_time_zone() {
        let at = |text: &str| {
            let time: jiff::Timestamp = text.parse().expect("a time");
            u64::try_from(time.as_millisecond()).expect("after 1970")
        };
        let weekdays = ticks(Recurrence::cron("0 7 * * Mon-Fri", "Europe/Berlin"));
        // Friday, in winter.
        assert_eq!(weekdays.after(at("2026-03-27T06:00:00Z")), Some(at("2026-03-30T05:00:00Z")));
        assert_eq!(weekdays.by(at("2026-03-30T05:00:00.3Z")), Some(at("2026-03-30T05:00:00Z")));
        assert_eq!(weekdays.by(at("2026-03-30T04:59:59Z")), Some(at("2026-03-27T06:00:00Z")));
        // A time that does not exist on the day on which the clocks are set forward, and one that
        // exists twice.
        let nightly = ticks(Recurrence::cron("30 2 * * *", "Europe/Berlin").missed(Missed::All));
        let due = nightly.due(at("2026-03-28T12:00:00Z"), at("2026-03-30T12:00:00Z")).jobs;
        assert_eq!(due.len(), 2, "{due:?}");
        let due = nightly.due(at("2026-10-24T12:00:00Z"), at("2026-10-26T12:00:00Z")).jobs;
        assert_eq!(due.len(), 2, "{due:?}");
        for (text, zone) in [("61 * * * *", "UTC"), ("* * * * *", "Mars/Olympus")] {
            assert!(Recurrence::cron(text, zone).ticks().is_err(), "{text} {zone}");
        }
        // The 30th of February.
        assert_eq!(ticks(Recurrence::cron("0 0 30 2 *", "UTC")).after(0), None);
    }
}
