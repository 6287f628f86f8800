//! The in-memory server's data against a real server: random histories of commands, the same
//! replies byte by byte.
//!
//! | file | contents |
//! |---|---|
//! | `history` | random commands on few keys, ids, groups and consumers |
//! | `words` | their arguments: good and bad ones |
//! | `real` | a real server on a plain socket |
//! | `memory` | the same steps on the in-memory data |
//! | `compare` | equal replies, but for what depends on the time of the call |
//! | `run` | runs a history on both, and makes a failing one shorter |
//!
//! `BOURN_SERVER` selects the server. `BOURN_COMMANDS` is the number of commands, and `BOURN_SEED`
//! the first seed: a failure prints the one that repeats it.

#[path = "../server/support.rs"]
mod support;

/// The module that the data takes ids from.
mod id {
    pub(crate) use bourn::EntryId;
}

mod testing;

#[cfg(test)]
mod compare;
#[cfg(test)]
mod history;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod real;
#[cfg(test)]
mod run;
#[cfg(test)]
mod words;
