//! Other clients in the same group of the same stream: redis-py and ioredis, as processes of their
//! own, which run published samples of such code as they stand (`samples/`), beside a worker.
//!
//! | file | contents |
//! |---|---|
//! | `process` | a process that runs a sample, and the entries that it has handled |
//! | `run.py`, `run.mjs` | run a sample with the names that it leaves to its reader |
//! | `tasks`, `orders` | the tests, by stream |
//!
//! `scripts/other-clients` fetches the clients and runs the tests. `BOURN_SERVER` selects the server.

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod orders;
#[cfg(test)]
mod process;
#[cfg(test)]
mod tasks;

#[cfg(test)]
mod beside;
