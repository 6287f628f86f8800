//! The log: each process has its own file. Each event is a line, written before the action that it
//! announces is complete, so that it survives the process.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// A process's log file. Each line is `<when> <who> <what>`.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    who: String,
}

impl Log {
    /// Opens the file with this name in the folder.
    pub(crate) fn open(folder: &Path, who: &str) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(folder.join(who));
        Self { file: file.expect("the folder takes files"), who: who.to_owned() }
    }

    /// Writes a line, which is complete when this returns.
    pub(crate) fn write(&self, what: impl Display) {
        let line = format!("{} {} {what}\n", print(now()), self.who);
        // One write, so that lines of several threads do not mix.
        (&self.file).write_all(line.as_bytes()).expect("the disk is not full");
    }
}

/// Returns the wall-clock time, shared by all processes. A soak checks at its end for jumps.
pub(crate) fn now() -> Duration {
    UNIX_EPOCH.elapsed().expect("it is later than 1970")
}

/// Formats a time: `1732190412345.678`, milliseconds with microseconds after the point.
pub(crate) fn print(time: Duration) -> String {
    format!("{}.{:03}", time.as_millis(), time.subsec_micros() % 1000)
}

/// Parses the output of [`print`], also without microseconds; `None` if it is invalid.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (ms, us) = text.split_once('.').unwrap_or((text, "0"));
    Some(Duration::from_millis(ms.parse().ok()?) + Duration::from_micros(us.parse().ok()?))
}

#[test]
fn printed_times_parse_back() {
    for us in [0, 1, 999, 1_000, 1_001_001, 1_732_190_412_345_678] {
        let time = Duration::from_micros(us);
        assert_eq!(parse(&print(time)), Some(time), "{us}");
    }
    assert_eq!(parse("17"), Some(Duration::from_millis(17)));
    assert_eq!(parse("x.1"), None);
}
