//! What has happened in a soak: jobs, their runs, workers and troubles. `lines` says what it is read from.

use crate::job::Kind;
use bourn::EntryId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How much before and after is told, too.
const AROUND: Duration = Duration::from_secs(3);

/// Number of a worker process. None has that of another one before it.
pub(crate) type Worker = u32;

/// What is known of a soak.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By its number, each job.
    pub(crate) jobs: BTreeMap<u64, Sent>,
    /// By the entry, in the order in which they began.
    pub(crate) runs: BTreeMap<EntryId, Vec<Run>>,
    pub(crate) workers: BTreeMap<Worker, Life>,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) restarts: Vec<Restart>,
    pub(crate) dead: Vec<Dead>,
    /// Whatever the server acknowledged is on its disk.
    pub(crate) always: bool,
    /// Entries and pending ones that are left in the stream.
    pub(crate) remain: Option<(u64, u64)>,
    /// Lines that say themselves that something is wrong, or that nobody can read.
    pub(crate) wrong: Vec<String>,
    /// All of them, in order.
    pub(crate) lines: Vec<(Duration, String)>,
}

/// A job's way into the stream.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) kind: Kind,
    /// What was told of each time that it was sent.
    pub(crate) times: Vec<(Duration, Told)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Enqueued(EntryId),
    Unknown,
    /// It is not in the stream.
    Unsent,
}

/// One attempt at a job.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) worker: Worker,
    pub(crate) n: u64,
    pub(crate) attempt: u32,
    pub(crate) from: Duration,
    /// When it ended, if it did, or its process.
    pub(crate) until: Option<Duration>,
    pub(crate) end: End,
    pub(crate) acked: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed,
    Aborted,
    /// Given up before it ended, because its lease was lost or for another reason.
    Dropped {
        lost: bool,
    },
    /// It did not end; perhaps its process did.
    None,
}

/// A worker process.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) slot: u32,
    /// When it began to die: there is no later line of it.
    pub(crate) dying: Option<Duration>,
    pub(crate) killed: bool,
    pub(crate) told: bool,
    /// How it ended, if it did.
    pub(crate) ended: Option<String>,
}

/// Something that was done to a worker, or happened to it.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) what: What,
    pub(crate) whom: Whom,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Death,
    /// It left, as it was told.
    Leave,
    Halt,
    ServerKilled,
    Reset,
    Cut,
    Refused,
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whom {
    Worker(Worker),
    Slot(u32),
    Everyone,
}

/// A server that was killed and came back.
#[derive(Debug)]
pub(crate) struct Restart {
    pub(crate) killed: Duration,
    /// The last id that it remembers.
    pub(crate) last: EntryId,
}

/// A dead letter.
#[derive(Debug)]
pub(crate) struct Dead {
    pub(crate) id: EntryId,
    pub(crate) n: u64,
    pub(crate) attempts: u32,
    /// When it was written.
    pub(crate) at: Duration,
}

impl History {
    /// The slot where a worker works.
    pub(crate) fn slot(&self, worker: Worker) -> Option<u32> {
        self.workers.get(&worker).map(|life| life.slot)
    }

    /// The lines that name this, and beside them what befell the workers in them.
    pub(crate) fn tell(&self, name: &str) -> String {
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
        let mut whom: Vec<_> = who.filter(|who| who != "conductor").collect();
        let workers = whom.iter().filter_map(|who| who.strip_prefix('w')?.parse().ok());
        let slots: Vec<_> = workers.filter_map(|worker| self.slot(worker)).collect();
        whom.extend(slots.iter().map(|slot| format!("s{slot}")));
        let near = self.lines.iter().filter(|(when, line)| {
            times.contains(when) && {
                let words = words(line);
                words.iter().any(|word| word == name)
                    || words.first().is_some_and(|who| who == "conductor")
                        && (line.contains(" server-")
                            || words.iter().any(|word| whom.contains(word)))
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
