//! What only a real server (`BOURN_SERVER`) can show of the queue. `tests/queue_faults` has the rest.
//!
//! | module | subject |
//! |---|---|
//! | `worker` | each outcome of a job, with several threads |
//! | `crashes`, `suspended` | a process, as a thread with its own runtime, that crashes or stands still |
//! | `blocked_threads` | handlers that block every thread of their runtime |
//! | `consumer_names` | a name that is removed while a job is delivered to it |
//! | `restart` | a server that is killed, or replaced by its replica |
//! | `recurring` | one job a tick, with the least permissions |
//! | `statistics` | permissions, and the server's time for each command |
//!
//! Each test has a time limit. Leases are long enough for a busy machine, and no test expects
//! something sooner than after two leases.

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod blocked_threads;
#[cfg(test)]
mod consumer_names;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod process;
#[cfg(test)]
mod recurring;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod suspended;
#[cfg(test)]
mod test_queue;
#[cfg(test)]
mod wheel;
#[cfg(test)]
mod worker;
