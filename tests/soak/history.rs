//! The history of a soak: jobs, their runs, workers and faults. `lines` describes its source.

use crate::job::Kind;
use bourn::EntryId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The period before and after that is included in an excerpt.
const AROUND: Duration = Duration::from_secs(3);

/// The number of a worker process, never reused.
pub(crate) type Worker = u32;

/// A history.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Each job, by its number.
    pub(crate) jobs: BTreeMap<u64, Sent>,
    /// By entry, in the order in which they started.
    pub(crate) runs: BTreeMap<EntryId, Vec<Run>>,
    pub(crate) workers: BTreeMap<Worker, Life>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) restarts: Vec<Restart>,
    pub(crate) dead: Vec<DeadLetter>,
    /// Acknowledged writes are on the server's disk.
    pub(crate) always: bool,
    /// The server recognizes a delayed job that is moved back twice.
    pub(crate) recognizes_copies: bool,
    /// Entries and pending entries at the end.
    pub(crate) remain: Option<(u64, u64)>,
    /// Lines that report a violation or cannot be read.
    pub(crate) wrong: Vec<String>,
    /// All lines, in order.
    pub(crate) lines: Vec<(Duration, String)>,
}

/// The enqueue of a job.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) kind: Kind,
    /// The result of each time that it was sent.
    pub(crate) times: Vec<(Duration, SendResult)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendResult {
    Enqueued(EntryId),
    Unknown,
    /// The job is not in the stream.
    Unsent,
}

/// One attempt at a job.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) worker: Worker,
    pub(crate) n: u64,
    pub(crate) attempt: u32,
    pub(crate) from: Duration,
    /// The end of the run or of its process, if known.
    pub(crate) until: Option<Duration>,
    pub(crate) end: End,
    pub(crate) acked: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed,
    Aborted,
    /// Dropped before its end, because its lease was lost or for another reason.
    Dropped {
        lost: bool,
    },
    /// No end; its process may have ended.
    None,
}

/// A worker process.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) slot: u32,
    /// The start of its end: there is no later line from it.
    pub(crate) dying: Option<Duration>,
    pub(crate) killed: bool,
    pub(crate) asked_to_leave: bool,
    /// The exit status, if it ended.
    pub(crate) ended: Option<String>,
}

/// A fault that affected a worker.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) what: What,
    pub(crate) target: Target,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Death,
    /// A graceful shutdown.
    Leave,
    Halt,
    ServerKilled,
    Reset,
    Cut,
    Refused,
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Worker(Worker),
    Slot(u32),
    Everyone,
}

/// A kill and restart of the server.
#[derive(Debug)]
pub(crate) struct Restart {
    pub(crate) killed: Duration,
    /// The last id that it kept.
    pub(crate) last: EntryId,
}

/// A dead letter.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) id: EntryId,
    pub(crate) n: u64,
    pub(crate) attempts: u32,
    /// The time at which it was added.
    pub(crate) at: Duration,
}

impl History {
    /// Returns the slot of a worker.
    pub(crate) fn slot(&self, worker: Worker) -> Option<u32> {
        self.workers.get(&worker).map(|life| life.slot)
    }

    /// Returns the lines that name this, and the faults of the workers in them.
    pub(crate) fn excerpt(&self, name: &str) -> String {
        let words = |line: &str| line.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
        let named: Vec<_> = self
            .lines
            .iter()
            .filter(|(_, line)| line.split(' ').skip(1).any(|word| word == name))
            .collect();
        let (Some(first), Some(last)) = (named.first(), named.last()) else {
            return format!("no line names {name}\n");
        };
        let times = first.0.saturating_sub(AROUND)..last.0 + AROUND;
        let who = named.iter().filter_map(|(_, line)| words(line).into_iter().next());
        let mut target: Vec<_> = who.filter(|who| who != "conductor").collect();
        let workers = target.iter().filter_map(|who| who.strip_prefix('w')?.parse().ok());
        let slots: Vec<_> = workers.filter_map(|worker| self.slot(worker)).collect();
        target.extend(slots.iter().map(|slot| format!("s{slot}")));
        let near = self.lines.iter().filter(|(when, line)| {
            times.contains(when) && {
                let words = words(line);
                words.iter().any(|word| word == name)
                    || words.first().is_some_and(|who| who == "conductor")
                        && (line.contains(" server-")
                            || words.iter().any(|word| target.contains(word)))
            }
        });
        near.fold(String::new(), |text, (_, line)| text + line + "\n")
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Death => "its process died",
            Self::Leave => "its process left",
            Self::Halt => "its process was halted",
            Self::ServerKilled => "the server was killed",
            Self::Reset => "its connections were reset",
            Self::Cut => "a connection was cut",
            Self::Refused => "it could not connect",
            Self::Stalled => "its connections stalled",
        })
    }
}
