//! What is written down, and when: each process has a file of its own, and each event is a line that is written at once,
//! before what it announces is done. What was written survives the process.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// A process's own file. Each line is `<when> <who> <what>`.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    who: String,
}

impl Log {
    /// The file of this name in the folder.
    pub(crate) fn open(folder: &Path, who: &str) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(folder.join(who));
        Self { file: file.expect("the folder takes files"), who: who.to_owned() }
    }

    /// Writes a line down. It is there, whole, when this returns.
    pub(crate) fn write(&self, what: impl Display) {
        let line = format!("{} {} {what}\n", print(now()), self.who);
        // One write, so lines of several threads do not mix.
        (&self.file).write_all(line.as_bytes()).expect("there is room on the disk");
    }
}

/// The clock on the wall, which is one for all processes of the machine. The end of a soak looks whether it jumped.
pub(crate) fn now() -> Duration {
    UNIX_EPOCH.elapsed().expect("it is later than 1970")
}

/// `1732190412345.678`: milliseconds, with the microseconds behind the point.
pub(crate) fn print(time: Duration) -> String {
    format!("{}.{:03}", time.as_millis(), time.subsec_micros() % 1000)
}

/// What [`print`] printed; the microseconds may be left out. `None` if it is no time.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (ms, us) = text.split_once('.').unwrap_or((text, "0"));
    Some(Duration::from_millis(ms.parse().ok()?) + Duration::from_micros(us.parse().ok()?))
}

#[test]
fn times_are_read_as_they_were_printed() {
    for us in [0, 1, 999, 1_000, 1_001_001, 1_732_190_412_345_678] {
        let time = Duration::from_micros(us);
        assert_eq!(parse(&print(time)), Some(time), "{us}");
    }
    assert_eq!(parse("17"), Some(Duration::from_millis(17)));
    assert_eq!(parse("x.1"), None);
}
